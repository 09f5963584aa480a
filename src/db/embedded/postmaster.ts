import { lstat, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { StartError } from '../../start-error.ts';
import { commandLine, processIds } from './processes.ts';

const SECOND = 1000;
const POLL_MS = 20;

/**
 * How a server is stopped, step by step: it cuts connections and writes everything; it ends at once, and recovers at
 * the next start; the system ends it. (PostgreSQL's manual, "Shutting Down the Server")
 */
const STOPS = [
  { signal: 'SIGINT', patienceMs: 20 * SECOND },
  { signal: 'SIGQUIT', patienceMs: 5 * SECOND },
  { signal: 'SIGKILL', patienceMs: 5 * SECOND },
] as const;

/** Content of PostgreSQL's `postmaster.pid` (its source, miscadmin.h, `LOCK_FILE_LINE_…`). */
export interface Postmaster {
  readonly pid: number;
  readonly port: number;
  readonly ready: boolean;
}

/** The server that `postmaster.pid` names. {@link isRunning} finds out whether it runs. */
export async function readPostmaster(cluster: string): Promise<Postmaster | undefined> {
  const text = await readFile(join(cluster, 'postmaster.pid'), 'utf8').catch(() => '');
  const [pid = '', , , port, , , , status] = text.split('\n');
  if (!/^[1-9]\d{0,8}$/.test(pid.trim())) return undefined;
  return { pid: Number(pid), port: Number(port), ready: status?.trim() === 'ready' };
}

/** Whether this process is a PostgreSQL server on these files, and not another program that has its id now. */
export async function isRunning(cluster: string, pid: number): Promise<boolean> {
  return (await commandLine(pid))?.includes(`postgres -D ${cluster} `) ?? false;
}

/**
 * Stops a server that a former owner left on these files, or waits for one that is shutting down already. A
 * `postmaster.pid` that names no process, as a loss of power leaves it, is removed: PostgreSQL would refuse to start.
 *
 * @param cluster in a folder that this process has claimed
 * @returns the id in `postmaster.pid` if another program has it now: PostgreSQL would take that program for a server
 */
export async function stopLeftover(cluster: string): Promise<number | undefined> {
  const pid = await findLeftover(cluster);
  if (pid === undefined) return undefined;
  if (!(await isRunning(cluster, pid))) return pid;
  for (const { signal, patienceMs } of STOPS) {
    signalIfThere(pid, signal);
    const deadline = performance.now() + patienceMs;
    while (performance.now() < deadline) {
      if (!(await isRunning(cluster, pid))) return undefined;
      await delay(POLL_MS);
    }
  }
  throw new StartError(
    `A PostgreSQL server (process ${pid}) runs on ${cluster} and can't be stopped: stop it, or set DATA_DIR to another folder.`,
  );
}

/** @returns the process that `postmaster.pid` names, or the server itself where that file is damaged */
async function findLeftover(cluster: string): Promise<number | undefined> {
  const file = join(cluster, 'postmaster.pid');
  const named = await readPostmaster(cluster);
  if (named || !(await lstat(file).catch(() => undefined))) return named?.pid;
  for (const pid of await processIds()) {
    // The server's watcher has the same words in its command line.
    if ((await isRunning(cluster, pid)) && !(await commandLine(pid))?.startsWith('sh ')) return pid;
  }
  await rm(file, { force: true, recursive: true });
  return undefined;
}

function signalIfThere(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
