import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, readdir, readFile, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { isFree } from '../../src/db/embedded/port.ts';
import { whenDone } from './wait.ts';

/** A folder of the test's own, removed when the test ends. Its name has a space in it, as many people's folders have. */
export async function temporaryFolder(t: TestContext, parent = tmpdir()): Promise<string> {
  const folder = await realpath(await mkdtemp(join(parent, 'fake shop ')));
  whenDone(t, () => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}

/** Tests alone use these: embedded databases take ports from 20000 on, systems give ports from 32768 or 49152 on. */
const LOWEST = 10_000;
const PORTS = 9_000;
/** Test processes that start one after the other begin their search this far apart. */
const STEP = 10;

let tried = process.pid * STEP;

/** A port of the loopback on which nothing listens, and which no other test takes before it is used. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = LOWEST + (tried++ % PORTS);
    if (await isFree(port)) return port;
  }
}

/** Whether a process runs. A zombie, which has ended but was not yet collected by its parent, does not. */
export async function isAlive(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  return stat !== undefined && !/^\d+ \(.*\) [ZX]/s.test(stat);
}

/** A process and all its descendants. Reads `/proc`, so it works on Linux only. */
export async function descendants(root: number): Promise<number[]> {
  const parents = new Map<number, number>();
  for (const pid of await processIds()) {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    const parent = /^\d+ \(.*\) \S (\d+)/s.exec(stat)?.[1];
    if (parent) parents.set(pid, Number(parent));
  }
  const family = [root];
  for (const member of family) for (const [pid, parent] of parents) if (parent === member) family.push(pid);
  return family;
}

/** Processes whose command line contains a text. */
export async function processesNaming(text: string): Promise<number[]> {
  const found: number[] = [];
  for (const pid of await processIds()) {
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (command.includes(text)) found.push(pid);
  }
  return found;
}

async function processIds(): Promise<number[]> {
  return (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
}

/**
 * Milliseconds for which these processes have been ready to run while other processes had all CPUs: what a busy machine
 * adds to their times. https://docs.kernel.org/scheduler/sched-stats.html#proc-pid-schedstat
 */
export function queuedMs(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    const file = `/proc/${pid}/schedstat`;
    const [, queuedNs = 0] = existsSync(file) ? readFileSync(file, 'utf8').split(' ') : [];
    return sum + Number(queuedNs) / 1e6;
  }, 0);
}
