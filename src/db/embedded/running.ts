import { readFile, realpath } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { DatabaseConnection } from '../../config.ts';
import { clusterPaths } from './cluster-folder.ts';
import { ignorePgVariables } from './environment.ts';
import { isRunning, readPostmaster } from './postmaster.ts';
import { serverConnection } from './server.ts';

/** The way into the database that another process, as `npm start`, runs in a data folder now; `undefined` when none does. */
export async function findRunningPostgres(dataDir: string): Promise<DatabaseConnection | undefined> {
  const paths = clusterPaths(await realpath(resolve(dataDir)).catch(() => resolve(dataDir)));
  const postmaster = await readPostmaster(paths.cluster);
  if (!postmaster?.ready || !(await isRunning(paths.cluster, postmaster.pid))) return undefined;
  ignorePgVariables();
  return serverConnection(postmaster.port, (await readFile(paths.password, 'utf8')).trim());
}
