'use strict';
// Compiles the pages of a folder to functions, in one CommonJS module that needs nothing else:
// `node scripts/templates.cjs <folder> <file>`.
const fs = require('node:fs');
const { basename, dirname, join } = require('node:path');
const { compileFileClient } = require('pug');

const [, , folder, target] = process.argv;

const functions = fs
  .readdirSync(folder)
  .filter((file) => file.endsWith('.pug'))
  .map((file) => {
    const options = { name: 'template', compileDebug: false, inlineRuntimeFunctions: true };
    const source = compileFileClient(join(folder, file), options);
    return `exports[${JSON.stringify(basename(file, '.pug'))}] = (function () {\n${source}\nreturn template;\n})();\n`;
  });
fs.mkdirSync(dirname(target), { recursive: true });
fs.writeFileSync(target, functions.join('\n'));
