import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

const POLL_MS = 25;
/** A condition that takes long to check is checked less often, so that waiting leaves the CPU to what is waited for. */
const POLL_SHARE = 2;
const LONGEST_POLL_MS = 250;

/**
 * Waits for a condition, never for a length of time.
 *
 * @param what names the condition in the error
 * @param condition until its value is truthy; an exception counts as not yet
 * @returns that value
 * @throws when the condition is not met within `deadlineMs`
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

type Release = () => unknown;

const releases = new WeakMap<TestContext, Release[]>();

/**
 * Releases a resource when the test ends, the latest first: a server before the folder that it uses.
 * node:test's own `t.after` releases in the other order.
 */
export function whenDone(t: TestContext, release: Release): void {
  const known = releases.get(t);
  if (known) {
    known.push(release);
    return;
  }
  const stack = [release];
  releases.set(t, stack);
  t.after(async () => {
    const failures: unknown[] = [];
    for (const next of stack.reverse()) {
      try {
        await next();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  });
}
