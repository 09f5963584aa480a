import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { compileTemplate } from 'pug';
import { projectRoot } from '../paths.ts';

/** The pages of `templates/` as functions, by name: `home`, `shop`, … */
export type Templates = Readonly<Record<string, compileTemplate>>;

const require = createRequire(import.meta.url);

/**
 * The templates that the build has compiled (scripts/templates.cjs), beside the built form of this file. A test runs this
 * file unbuilt, and takes those of the current build.
 */
export function loadTemplates(): Templates {
  const beside = fileURLToPath(new URL('./templates.cjs', import.meta.url));
  return require(existsSync(beside) ? beside : join(projectRoot, 'dist/src/web/templates.cjs')) as Templates;
}
