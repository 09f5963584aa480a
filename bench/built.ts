import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { projectRoot } from '../src/paths.ts';

/**
 * Imports a module of the built shop, with its compiled templates, instead of the copy that compiling the benchmark
 * makes.
 *
 * @typeParam Module `typeof import('../src/…')`
 * @param file below `dist/src`
 */
export async function importBuilt<Module>(file: string): Promise<Module> {
  return (await import(pathToFileURL(join(projectRoot, 'dist/src', file)).href)) as Module;
}
