import { readdir, readFile } from 'node:fs/promises';

/** The unit of the times in `/proc`, `sysconf(_SC_CLK_TCK)`: 100 on every Linux that Node.js runs on. */
const TICKS_PER_SECOND = 100;
const NANOSECONDS_PER_SECOND = 1e9;

/**
 * Times the processor that processes use, all their threads together.
 *
 * Reads nanoseconds where the kernel counts them for each thread (`/proc/pid/task/tid/schedstat`), else steps of 10 ms
 * (`/proc/pid/stat`; proc(5)).
 *
 * @returns reads the seconds used since the start, at least one step. The last work of a thread that has ended in between
 * is missing in them.
 */
export async function startCpuTimer(pids: readonly number[]): Promise<() => Promise<number>> {
  const threadsBefore = await threadNanoseconds(pids);
  const ticksBefore = await cpuTicks(pids);
  return async function usedSeconds() {
    if (threadsBefore.size === 0) {
      return Math.max(1, (await cpuTicks(pids)) - ticksBefore) / TICKS_PER_SECOND;
    }
    let used = 0;
    for (const [thread, time] of await threadNanoseconds(pids)) used += time - (threadsBefore.get(thread) ?? 0);
    return Math.max(1, used) / NANOSECONDS_PER_SECOND;
  };
}

/** @returns the time of each living thread, by its folder; empty without `schedstat` */
async function threadNanoseconds(pids: readonly number[]): Promise<Map<string, number>> {
  const times = new Map<string, number>();
  for (const pid of pids) {
    for (const thread of await readdir(`/proc/${pid}/task`)) {
      const folder = `/proc/${pid}/task/${thread}`;
      try {
        times.set(folder, Number.parseInt(await readFile(`${folder}/schedstat`, 'latin1'), 10));
      } catch (error) {
        // The thread has ended (ESRCH while it is read), or the kernel has no such file.
        if (!['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
      }
    }
  }
  return times;
}

async function cpuTicks(pids: readonly number[]): Promise<number> {
  let ticks = 0;
  for (const pid of pids) {
    const stat = await readFile(`/proc/${pid}/stat`, 'latin1');
    // The name of the program, in brackets, may hold spaces. utime and stime are the fields 14 and 15.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  return ticks;
}

/** Resident memory of a process. */
export async function memoryBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'latin1');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024;
}
