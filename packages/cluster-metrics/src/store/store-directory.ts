import { chownSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isRunning, pidNamespace, startTimeOf } from './process-identity.ts';

export interface StoreDirectoryOptions {
  /** Begins the folder's name: letters, digits and `_`. Default `metrics`. */
  name?: string;
  /** Folders to make it in, the best first. Default: `/dev/shm`, then the system's folder for temporary files. */
  parents?: readonly string[];
  /**
   * User and group of the workers, when they differ from this process'. Not needed for those that `cluster.setupPrimary`
   * is given: `ClusterRegistry` reads them there.
   */
  uid?: number;
  gid?: number;
  /** Called for each folder that could not be used, and for each folder of a dead instance that could not be removed. */
  onProblem?: (problem: Error) => void;
}

export interface StoreDirectory {
  /** For `openStore` and `ClusterRegistry`. */
  readonly path: string;
  /** Removes the folder with its files. */
  remove(): void;
}

/** A user and a group, when they differ from this process'. */
export interface Owner {
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
}

/** chown(2): leaves the user or the group as it is. */
const KEEP = -1;

/** A file system with less free room than this counts as full. */
const ROOM_BYTES = 1 << 20;

/**
 * Makes the folder of this instance's stores, in memory where the system offers that. Removes the folders of instances
 * whose primary was killed. The folder's name says which process owns it, so two instances never share one.
 *
 * @throws {AggregateError} when no place has room
 */
export function createStoreDirectory({
  name = 'metrics',
  parents = ['/dev/shm', tmpdir()],
  uid,
  gid,
  onProblem = () => {},
}: StoreDirectoryOptions = {}): StoreDirectory {
  if (!/^\w{1,64}$/.test(name))
    throw new TypeError(`A folder's name is letters, digits and _: ${JSON.stringify(name)}`);
  const problems: Error[] = [];
  for (const parent of parents) {
    try {
      clearDead(parent, name, onProblem);
      const path = make(parent, name, { uid, gid });
      return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
    } catch (error) {
      problems.push(error as Error);
      onProblem(error as Error);
    }
  }
  throw new AggregateError(problems, `No place for the metrics' stores: ${parents.join(', ')}`);
}

/** Gives a folder to another user, so that workers that run as that user can write into it. @throws without the right */
export function giveFolder(path: string, { uid, gid }: Owner): void {
  if (uid !== undefined) chownSync(path, uid, gid ?? KEEP);
}

function make(parent: string, name: string, owner: Owner): string {
  const prefix = `${name}-${process.pid}-${startTimeOf(process.pid)}-${pidNamespace()}-`;
  const path = mkdtempSync(join(parent, prefix));
  const probe = join(path, 'probe');
  try {
    writeFileSync(probe, Buffer.alloc(ROOM_BYTES));
    rmSync(probe);
    giveFolder(path, owner);
    return path;
  } catch (error) {
    rmSync(path, { recursive: true, force: true });
    throw error;
  }
}

/** Whether a process of another pid namespace lives is unknown here, so its folder stays. */
function clearDead(parent: string, name: string, onProblem: (problem: Error) => void): void {
  const here = pidNamespace();
  for (const folder of readdirSync(parent)) {
    const match = /^(\w+)-(\d+)-(\d+)-(\d+)-\w{6}$/.exec(folder);
    if (match === null || match[1] !== name || Number(match[4]) !== here) continue;
    if (isRunning(Number(match[2]), Number(match[3]))) continue;
    try {
      rmSync(join(parent, folder), { recursive: true, force: true });
    } catch (error) {
      onProblem(error as Error);
    }
  }
}
