import { readFileSync, readlinkSync } from 'node:fs';

/** Fields of `/proc/<pid>/stat`, see proc(5). */
interface ProcessState {
  /** Field 3 is Z or X: the process has ended, and its parent has not asked for its exit code yet. */
  readonly hasEnded: boolean;
  /** Field 22: clock ticks since the boot of the machine. Tells a process from a later one with the same pid. */
  readonly startTime: number;
}

/** @returns `null` without `/proc`, without such a process, or without a free file descriptor */
function stateOf(pid: number): ProcessState | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The second field is the program's name in parentheses. A name may contain parentheses, so look for the last one.
    const rest = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { hasEnded: /^[ZXx]/.test(rest[0] ?? ''), startTime: Number(rest[19]) };
  } catch {
    return null;
  }
}

/** When a process or thread started, see `ProcessState`; 0 when it is unknown. */
export function startTimeOf(pid: number): number {
  return stateOf(pid)?.startTime ?? 0;
}

/**
 * The system's number of the calling thread. Linux numbers processes and threads alike, so this number works wherever a
 * pid does, and the number of a main thread is its process' pid.
 *
 * @returns the pid when the number is unknown
 */
export function ownThread(): number {
  try {
    const [, pid, thread] = /^(\d+)\/task\/(\d+)$/.exec(readlinkSync('/proc/thread-self')) ?? [];
    return Number(pid) === process.pid ? Number(thread) : process.pid;
  } catch {
    return process.pid;
  }
}

/** Whether there is a process or thread with this number: one system call. */
export function pidExists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it lives and belongs to another user.
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

/**
 * Whether the process that had this pid and start time still runs. When the start time of the present process is unknown,
 * it is taken for that one.
 */
export function isRunning(pid: number, startTime: number): boolean {
  if (!pidExists(pid)) return false;
  const found = stateOf(pid);
  if (found === null) return true;
  return !found.hasEnded && (startTime === 0 || found.startTime === startTime);
}

/**
 * Milliseconds on the machine's monotonic clock (clock_gettime(2), CLOCK_MONOTONIC). All processes share it, unlike
 * `performance.now()`, which counts from the start of its process; and it can't be set, unlike the wall clock.
 */
export function sharedClockMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** The pid namespace (pid_namespaces(7)): one pid in two containers means two processes. 0 where there are none. */
export function pidNamespace(): number {
  try {
    return Number(/\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0] ?? 0);
  } catch {
    return 0;
  }
}
