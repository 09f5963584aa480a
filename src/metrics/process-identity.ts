import { readFileSync, readlinkSync } from 'node:fs';

/**
 * When a process started, in clock ticks since the machine's boot (proc(5), field 22 of `stat`), so that a process is
 * told from a later one with the same pid.
 *
 * @returns 0 where the system does not say (no `/proc`, no such process)
 */
export function startTimeOf(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The second field is the program's name in parentheses, which may hold anything; the rest follows the last one.
    const rest = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return Number(rest[19]);
  } catch {
    return 0;
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
 * this pid started, as when this one has no file descriptor left to ask with, it is taken for that one.
 */
export function isRunning(pid: number, startTime: number): boolean {
  if (!pidExists(pid)) return false;
  const found = startTimeOf(pid);
  return startTime === 0 || found === 0 || found === startTime;
}

/** The pid namespace (pid_namespaces(7)): the same pid in two containers is two processes. 0 where there are none. */
export function pidNamespace(): number {
  try {
    return Number(/\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0] ?? 0);
  } catch {
    return 0;
  }
}
