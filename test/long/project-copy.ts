import { cp, mkdir, readdir, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { projectRoot } from '../../src/paths.ts';
import { temporaryFolder } from '../support/system.ts';

const COPIED = ['package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json', 'knexfile.ts'];
const REGISTRY = ['package.json', 'tsconfig.build.json', 'src'].map((name) => join('packages/cluster-metrics', name));
const SOURCES = ['src', 'seeds', 'templates', 'scripts', 'public', 'docs/operations.md'];

/** Copies the project to a folder of its own, unbuilt and without packages. */
export async function copyProject(t: TestContext): Promise<string> {
  const folder = await temporaryFolder(t);
  for (const name of [...COPIED, ...REGISTRY, ...SOURCES]) {
    await cp(join(projectRoot, name), join(folder, name), { recursive: true });
  }
  return folder;
}

/** Links the project's packages into the folder, except those left out. */
export async function installPackages(folder: string, leftOut: readonly string[] = []): Promise<void> {
  await rm(join(folder, 'node_modules'), { recursive: true, force: true });
  await mkdir(join(folder, 'node_modules'));
  for (const name of await readdir(join(projectRoot, 'node_modules'))) {
    if (leftOut.includes(name)) continue;
    await symlink(join(projectRoot, 'node_modules', name), join(folder, 'node_modules', name));
  }
}
