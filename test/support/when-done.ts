import type { TestContext } from 'node:test';

type Release = () => unknown;

const releases = new WeakMap<TestContext, Release[]>();

/** Releases what a test has made when it ends, the latest first; node:test's own `t.after` goes the other way. */
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
