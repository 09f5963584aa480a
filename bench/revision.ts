import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { ReleaseStack } from '../src/cluster/release.ts';
import { projectRoot } from '../src/paths.ts';

/** The last revision before the work on speed began. */
export const EARLIER = 'bed4124';

const run = promisify(execFile);

/**
 * Puts another revision of the project into a folder, installs its packages and builds it.
 *
 * @param revision as git names it
 * @param parent for the folder
 * @param resources their release ends the work
 * @returns the folder
 */
export async function buildRevision(revision: string, parent: string, resources: ReleaseStack): Promise<string> {
  const { signal } = resources.add(new AbortController(), (stopping) => stopping.abort());
  const commit = `${revision}^{commit}`;
  await run('git', ['rev-parse', '--verify', '--quiet', commit], { cwd: projectRoot, signal }).catch(() => {
    throw new Error(
      `This clone has no revision ${revision}: get the whole history with git fetch --unshallow, or choose another with --against`,
    );
  });
  const folder = join(parent, 'earlier');
  await mkdir(folder);
  const archive = join(parent, 'earlier.tar');
  await run('git', ['archive', `--output=${archive}`, commit], { cwd: projectRoot, signal });
  await run('tar', ['-xf', archive, '-C', folder], { signal });
  await run('npm', ['ci', '--prefer-offline', '--no-audit', '--no-fund'], { cwd: folder, signal });
  await run(process.execPath, ['scripts/build.cjs'], { cwd: folder, signal });
  return folder;
}
