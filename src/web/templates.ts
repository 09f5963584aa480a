import { existsSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { compileTemplate } from 'pug';
import { projectRoot } from '../paths.ts';

/** The pages of `templates/` as functions, by name: `home`, `shop`, … */
export type Templates = Readonly<Record<string, compileTemplate>>;

const require = createRequire(import.meta.url);

/** Where the build puts them: beside the built form of this file. */
const BUILT = fileURLToPath(new URL('./templates.cjs', import.meta.url));

/**
 * The templates that the build has compiled; where this code runs unbuilt, in a test, they are compiled here. Pug
 * needs 0.9 s of CPU time and 40 MB for that, which a worker at its start can do better without.
 *
 * @throws Error when a template doesn't compile
 */
export function loadTemplates(): Templates {
  if (existsSync(BUILT)) return require(BUILT) as Templates;
  const { compileFile } = require('pug') as typeof import('pug');
  return Object.fromEntries(templateFiles().map(([name, file]) => [name, compileFile(file)]));
}

/** The templates as the source of a CommonJS module that needs nothing else. */
export function compileTemplates(): string {
  const { compileFileClient } = require('pug') as typeof import('pug');
  return templateFiles()
    .map(([name, file]) => {
      const source = compileFileClient(file, { name: 'template', compileDebug: false, inlineRuntimeFunctions: true });
      return `exports[${JSON.stringify(name)}] = (function () {\n${source}\nreturn template;\n})();\n`;
    })
    .join('\n');
}

function templateFiles(): [name: string, file: string][] {
  const folder = join(projectRoot, 'templates');
  return readdirSync(folder)
    .filter((file) => file.endsWith('.pug'))
    .map((file) => [basename(file, '.pug'), join(folder, file)]);
}
