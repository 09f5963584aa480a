import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { commandLine } from './processes.ts';

const SECOND = 1000;
const POLL_MS = 20;

/**
 * How a server is stopped, in order: connections are cut and everything is written; everything ends at once and is
 * recovered at the next start; nothing more can be done. (PostgreSQL's manual, "Shutting Down the Server")
 */
const STOPS = [
  { signal: 'SIGINT', patienceMs: 20 * SECOND },
  { signal: 'SIGQUIT', patienceMs: 5 * SECOND },
  { signal: 'SIGKILL', patienceMs: 5 * SECOND },
] as const;

/** What PostgreSQL writes into its `postmaster.pid` (its source, miscadmin.h, `LOCK_FILE_LINE_…`). */
export interface Postmaster {
  readonly pid: number;
  readonly port: number;
  readonly ready: boolean;
}

/** The server that says it runs on these files; whether it does, {@link isRunning} tells. */
export async function readPostmaster(cluster: string): Promise<Postmaster | undefined> {
  const text = await readFile(join(cluster, 'postmaster.pid'), 'utf8').catch(() => '');
  const [pid, , , port, , , , status] = text.split('\n');
  if (!Number(pid)) return undefined;
  return { pid: Number(pid), port: Number(port), ready: status?.trim() === 'ready' };
}

/** Is this process a PostgreSQL server on these files, and not another program that has its id now? */
export async function isRunning(cluster: string, pid: number): Promise<boolean> {
  return (await commandLine(pid))?.includes(`postgres -D ${cluster} `) ?? false;
}

/**
 * Stops a server that a former owner left on these files, or waits for one that is shutting down already.
 *
 * @returns the id in `postmaster.pid` if another program has it now: PostgreSQL would take that program for a server
 */
export async function stopLeftover(cluster: string): Promise<number | undefined> {
  const left = await readPostmaster(cluster);
  if (!left) return undefined;
  if (!(await isRunning(cluster, left.pid))) return left.pid;
  for (const { signal, patienceMs } of STOPS) {
    signalIfThere(left.pid, signal);
    const deadline = performance.now() + patienceMs;
    while (performance.now() < deadline) {
      if (!(await isRunning(cluster, left.pid))) return undefined;
      await delay(POLL_MS);
    }
  }
  throw new Error(`A PostgreSQL server (process ${left.pid}) on ${cluster} can't be stopped`);
}

function signalIfThere(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
