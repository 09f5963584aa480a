import { readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { processLife } from './processes.ts';

const ATTEMPTS = 5;
const CLAIM = /^in-use-by-(\d+)-([0-9a-f]+)$/;

/** The data folder belongs to another process that is alive. */
export class FolderInUseError extends Error {
  override readonly name = 'FolderInUseError';
}

/**
 * Makes this process the only one that runs a database in a folder, until it releases the folder or ends, however it ends.
 *
 * Each process writes a file that names it, then looks for others': of two at the same time, at least one sees the
 * other. A file is never taken over, only removed when its process is gone, so no race ends with two owners.
 *
 * @returns releases the folder
 * @throws {FolderInUseError} naming the other process
 */
export async function claimFolder(folder: string): Promise<() => Promise<void>> {
  const own = `in-use-by-${process.pid}-${await processLife(process.pid)}`;
  const release = () => rm(join(folder, own), { force: true });
  for (let attempt = 1; ; attempt++) {
    await writeFile(join(folder, own), '', { flag: 'wx' }).catch((error: NodeJS.ErrnoException) => {
      throw error.code === 'EEXIST' ? inUse(folder, process.pid) : error;
    });
    const rival = await findRival(folder, own);
    if (rival === undefined) return release;
    await release();
    if (attempt === ATTEMPTS) throw inUse(folder, rival);
    // The rival may be claiming at this very moment and give way too: come back at different times.
    await delay(10 + Math.random() * 90);
  }
}

async function findRival(folder: string, own: string): Promise<number | undefined> {
  for (const name of await readdir(folder)) {
    const [, pid, life] = CLAIM.exec(name) ?? [];
    if (pid === undefined || name === own) continue;
    if ((await processLife(Number(pid))) === life) return Number(pid);
    await rm(join(folder, name), { force: true });
  }
  return undefined;
}

function inUse(folder: string, pid: number): FolderInUseError {
  return new FolderInUseError(
    `${folder} is in use by process ${pid}, which runs its database there. Stop it, or set DATA_DIR to another folder.`,
  );
}
