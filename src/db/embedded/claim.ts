import { readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '../../log.ts';
import { StartError } from '../../start-error.ts';
import { processLife, processNamespace } from './processes.ts';

const SECOND = 1000;
const ATTEMPTS = 5;
/** Process id, its life, the namespace of its id, and the folder's inode: a copy of the folder has another. */
const CLAIM = /^in-use-by-(\d+)-([0-9a-f]+)-(\d+)(?:-(\d+))?$/;
/** By these a process that is not visible here, such as another container's on the same volume, shows that it lives. */
const HEARTBEAT_MS = SECOND;
const LAST_HEARTBEAT_MS = 5 * SECOND;

/** The data folder belongs to another process that is alive. */
export class FolderInUseError extends StartError {
  override readonly name = 'FolderInUseError';
}

interface Rival {
  readonly pid: number;
  /** In another container: only waiting shows whether it lives. */
  readonly unseen: boolean;
}

/**
 * Makes this process the only one that runs a database in a folder, until it releases the folder or ends, however it
 * ends.
 *
 * Each process writes a file that names it, then looks for others': of two at the same time, at least one sees the
 * other. A file is never taken over, only removed when its process is gone, so no race ends with two owners.
 *
 * @returns releases the folder
 * @throws {FolderInUseError} naming the other process
 */
export async function claimFolder(folder: string, log: Logger): Promise<() => Promise<void>> {
  const namespace = await processNamespace();
  // Not the device: containers and hosts may number one file system differently.
  const ino = String((await stat(folder, { bigint: true })).ino);
  const own = join(folder, `in-use-by-${process.pid}-${await processLife(process.pid)}-${namespace}-${ino}`);
  const deadline = performance.now() + LAST_HEARTBEAT_MS + HEARTBEAT_MS;
  for (let attempt = 1; ; attempt++) {
    await writeFile(own, '', { flag: 'wx' }).catch((error: NodeJS.ErrnoException) => {
      throw error.code === 'EEXIST' ? inUse(folder, process.pid) : error;
    });
    const rival = await findRival(folder, own, namespace, ino);
    if (!rival) return keepClaim(own);
    await rm(own, { force: true });
    if (rival.unseen ? performance.now() > deadline : attempt >= ATTEMPTS) throw inUse(folder, rival.pid);
    if (rival.unseen && attempt === 1) log.info({ folder }, 'waiting to see whether another container uses the folder');
    // The rival may be claiming at this very moment and give way too: come back at different times.
    await delay(10 + Math.random() * 90);
  }
}

function keepClaim(own: string): () => Promise<void> {
  const heartbeat = setInterval(() => {
    // Writes into the file that is there; one that was released in between must not come back.
    void writeFile(own, '.', { flag: 'r+' }).catch(() => {});
  }, HEARTBEAT_MS).unref();
  return async () => {
    clearInterval(heartbeat);
    await rm(own, { force: true });
  };
}

async function findRival(folder: string, own: string, namespace: string, ino: string): Promise<Rival | undefined> {
  for (const name of await readdir(folder)) {
    const claim = join(folder, name);
    const [, pid, life, theirs, theirFolder = ino] = CLAIM.exec(name) ?? [];
    if (pid === undefined || claim === own) continue;
    const unseen = theirs !== namespace;
    const alive = async () => (unseen ? hasHeartbeat(claim, own) : (await processLife(Number(pid))) === life);
    // A claim that was copied with the folder names a process that uses the original.
    if (theirFolder === ino && (await alive())) return { pid: Number(pid), unseen };
    await rm(claim, { force: true });
  }
  return undefined;
}

/**
 * Both times come from the clock of the folder's file system; a time far ahead of ours is from before the clock was
 * set.
 */
async function hasHeartbeat(claim: string, own: string): Promise<boolean> {
  const [theirs, ours] = await Promise.all([stat(claim).catch(() => undefined), stat(own)]);
  return theirs !== undefined && Math.abs(ours.mtimeMs - theirs.mtimeMs) < LAST_HEARTBEAT_MS;
}

function inUse(folder: string, pid: number): FolderInUseError {
  return new FolderInUseError(
    `${folder} is in use by process ${pid}, which runs its database there. Stop it, or set DATA_DIR to another folder.`,
  );
}
