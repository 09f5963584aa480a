import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const packageRoot = join(root, 'packages/cluster-metrics');
/** The successor too, where the tests run with it: see with-successor.mjs. */
const library = dirname(createRequire(import.meta.url).resolve(process.env.SUCCESSOR ?? 'prom-client'));

const MODULES = {
  nodenext: { module: 'nodenext' },
  node16: { module: 'node16' },
  bundler: { module: 'esnext', moduleResolution: 'bundler' },
};

/** Compiles the files in test/types against the built declarations of the package and of the library, each checked too. */
function compile(t: TestContext, options: object): string {
  const folder = mkdtempSync(join(tmpdir(), 'types-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const config = {
    compilerOptions: {
      target: 'es2023',
      strict: true,
      exactOptionalPropertyTypes: true,
      skipLibCheck: false,
      noEmit: true,
      typeRoots: [join(root, 'node_modules/@types')],
      types: ['node'],
      paths: {
        '@techcommerce/cluster-metrics': [join(packageRoot, 'dist/index.d.ts')],
        'prom-client': [join(library, 'index.d.ts')],
      },
      ...options,
    },
    files: ['drop-in.ts', 'library.ts'].map((name) => join(packageRoot, 'test/types', name)),
  };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  return spawnSync(process.execPath, [tsc, '-p', folder], { encoding: 'utf8' }).stdout;
}

for (const [name, options] of Object.entries(MODULES)) {
  test(`types, module ${name}: code for prom-client compiles with its import changed, and objects fit both ways`, (t) => {
    assert.equal(compile(t, options), '');
  });
}
