import { setTimeout as sleep } from 'node:timers/promises';

const POLL_MS = 25;
/** A condition that takes long is asked less often: waiting must not keep the processor from what is waited for. */
const POLL_SHARE = 2;
const LONGEST_POLL_MS = 250;

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
  const deadline = performance.now() + deadlineMs;
  let last: unknown;
  for (;;) {
    const askedMs = performance.now();
    try {
      const value = await condition();
      if (value) return value as Exclude<T, undefined | null | false>;
      last = value;
    } catch (error) {
      last = error;
    }
    if (performance.now() > deadline)
      throw new Error(`${what}: not within ${deadlineMs} ms, last seen: ${String(last)}`);
    await sleep(Math.min(Math.max(POLL_MS, POLL_SHARE * (performance.now() - askedMs)), LONGEST_POLL_MS));
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
