import { setTimeout as sleep } from 'node:timers/promises';

const POLL_MS = 25;

/**
 * Waits for a condition, never for a length of time.
 *
 * @param what for the message when it has not come true
 * @param condition its first truthy value is returned; an exception counts as not yet
 */
export async function until<T>(
  what: string,
  condition: () => T | Promise<T>,
  deadlineMs = 60_000,
): Promise<Exclude<T, undefined | null | false>> {
  const deadline = Date.now() + deadlineMs;
  let last: unknown;
  for (;;) {
    try {
      const value = await condition();
      if (value) return value as Exclude<T, undefined | null | false>;
      last = value;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) throw new Error(`${what}: not within ${deadlineMs} ms, last seen: ${String(last)}`);
    await sleep(POLL_MS);
  }
}

/** Whether a process lives; one that has ended and was not yet collected by its parent does not. */
export async function isAlive(pid: number): Promise<boolean> {
  const { readFile } = await import('node:fs/promises');
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    return !/^\d+ \(.*\) [ZX]/s.test(stat);
  } catch {
    return false;
  }
}
