'use strict';
// `node scripts/live-client.cjs FOLDER TARGET` bundles the browser's part of the live page: one script and one style
// sheet, so that a browser on a slow network asks for no file that it learns of from another file.
const { copyFileSync } = require('node:fs');
const { join } = require('node:path');
const { buildSync } = require('esbuild');

const [folder, target] = process.argv.slice(2);
try {
  buildSync({
    entryPoints: ['main.ts', 'live.css'].map((file) => join(folder, file)),
    outdir: target,
    bundle: true,
    format: 'esm',
    target: 'es2023',
    minify: true,
    charset: 'utf8',
    logLevel: 'warning',
  });
} catch {
  // esbuild has printed each mistake with its line.
  process.exit(1);
}
copyFileSync(join(folder, 'favicon.svg'), join(target, 'favicon.svg'));
