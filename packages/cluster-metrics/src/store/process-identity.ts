import { readFileSync, readlinkSync } from 'node:fs';

/** What proc(5) says in `stat`. */
interface ProcessState {
  /** Field 3. Z and X: it has ended, though its parent has not taken note. */
  readonly hasEnded: boolean;
  /** Field 22: clock ticks since the machine's boot, so that a process is told from a later one with the same pid. */
  readonly startTime: number;
}

/** @returns `null` where the system does not say (no `/proc`, no such process, no file descriptor left to ask with) */
function stateOf(pid: number): ProcessState | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The second field is the program's name in parentheses, which may hold anything; the rest follows the last one.
    const rest = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { hasEnded: /^[ZXx]/.test(rest[0] ?? ''), startTime: Number(rest[19]) };
  } catch {
    return null;
  }
}

/** When a process or thread started, see `ProcessState`; 0 where the system does not say. */
export function startTimeOf(pid: number): number {
  return stateOf(pid)?.startTime ?? 0;
}

/**
 * The system's number of the thread that calls. Linux numbers processes and threads alike: all that can be asked of a
 * pid can be asked of it, and a process' main thread has its pid.
 *
 * @returns the pid where the system does not say
 */
export function ownThread(): number {
  try {
    const [, pid, thread] = /^(\d+)\/task\/(\d+)$/.exec(readlinkSync('/proc/thread-self')) ?? [];
    return Number(pid) === process.pid ? Number(thread) : process.pid;
  } catch {
    return process.pid;
  }
}

/** Whether there is a process of this number at all; cheap, a single system call. */
export function pidExists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it lives and belongs to somebody else.
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

/**
 * Whether the process that had this pid and start time still runs. Where the system does not say when the process of
 * this pid started, it is taken for that one.
 */
export function isRunning(pid: number, startTime: number): boolean {
  if (!pidExists(pid)) return false;
  const found = stateOf(pid);
  if (found === null) return true;
  return !found.hasEnded && (startTime === 0 || found.startTime === startTime);
}

/**
 * Milliseconds on the clock that all processes of a machine share and that is never set (clock_gettime(2),
 * CLOCK_MONOTONIC), unlike the wall clock; `performance.now()` counts from its own process' start.
 */
export function sharedClockMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** The pid namespace (pid_namespaces(7)): the same pid in two containers is two processes. 0 where there are none. */
export function pidNamespace(): number {
  try {
    return Number(/\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0] ?? 0);
  } catch {
    return 0;
  }
}
