import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { projectRoot } from '../../paths.ts';

/**
 * Path of a file that the build makes in this folder: a template, the browser's script. A test runs this code unbuilt, and
 * takes those of the current build.
 */
export function builtFile(name: string): string {
  const beside = fileURLToPath(new URL(`./${name}`, import.meta.url));
  const isBuilt = import.meta.url.endsWith('.js') && existsSync(beside);
  return isBuilt ? beside : join(projectRoot, 'dist/src/ops/live', name);
}
