import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { createStoreDirectory } from '../../src/metrics/index.ts';
import { SlidingWindows } from '../../src/metrics/window.ts';
import { parse } from './support/samples.ts';
import { openWorker } from './support/stores.ts';

const SECOND = 1000;
const WINDOW_SECONDS = 6;
/** A window of 6 s moves on in steps of a second. */
const STEP_MS = SECOND;

/** One summary with a single bin; an observation is made right after each look. */
function watch(maxAgeSeconds: number) {
  const windows = new SlidingWindows();
  const summary = {
    description: { name: 's', help: 'h', type: 'summary', aggregator: 'sum', labelNames: [], maxAgeSeconds } as const,
  };
  windows.add(summary, 0, 1);
  const counts = new Float64Array(1);
  const observedMs: number[] = [];
  return {
    /** @returns when the observations were made that are in the window */
    lookAt(nowMs: number): number[] {
      windows.advance(nowMs, counts);
      const inWindow = (counts[0] as number) - (windows.before[0] as number);
      const shown = inWindow === 0 ? [] : observedMs.slice(-inWindow);
      counts[0] = (counts[0] as number) + 1;
      observedMs.push(nowMs);
      return shown;
    },
  };
}

test('no look ever shows what is older than the window and a step, however far the looks are apart', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 20 * SECOND }), { minLength: 1, maxLength: 50 }), (pausesMs) => {
      const { lookAt } = watch(WINDOW_SECONDS);
      let nowMs = 0;
      for (const pauseMs of [0, ...pausesMs]) {
        nowMs += pauseMs;
        for (const observedMs of lookAt(nowMs)) {
          assert.ok(nowMs - observedMs < WINDOW_SECONDS * SECOND + STEP_MS, `${observedMs} at ${nowMs}`);
        }
      }
    }),
    // Looks in one step, of which the last finds what the first has seen too old.
    { examples: [[[6978, 13, 9]]] },
  );
});

test('regular looks show all that is within the window', () => {
  const lookEveryMs = fc.constantFrom(10, 100, 250, SECOND);
  fc.assert(
    fc.property(lookEveryMs, fc.integer({ min: 1, max: 600 }), (everyMs, maxAgeSeconds) => {
      const { lookAt } = watch(maxAgeSeconds);
      const end = Math.min(3 * maxAgeSeconds * SECOND, 2000 * everyMs);
      for (let nowMs = 0; nowMs < end; nowMs += everyMs) {
        const due = Math.floor(Math.min(nowMs, maxAgeSeconds * SECOND) / everyMs);
        const shown = lookAt(nowMs).length;
        assert.ok(shown >= due, `${shown} of ${due} at ${nowMs}`);
      }
    }),
  );
});

test('a primary that was stopped for longer than the window shows nothing older than it', async (t) => {
  const directory = createStoreDirectory({ name: 'window' });
  const { store, summary } = openWorker(directory.path, 1, { maxAgeSeconds: 1 });
  const primary = fork(fileURLToPath(new URL('support/primary.mjs', import.meta.url)), [directory.path]);
  t.after(() => {
    primary.kill('SIGKILL');
    store.close();
    directory.remove();
  });
  await once(primary, 'message');
  const median = async () => {
    primary.send('scrape');
    const [text] = await once(primary, 'message');
    return parse(text).of('took_seconds{quantile="0.5"}');
  };
  for (let i = 0; i < 100; i++) summary.observe(9);
  store.flush();
  assert.ok((await median()) > 8.9);
  process.kill(primary.pid as number, 'SIGSTOP');
  for (let i = 0; i < 100; i++) summary.observe(9);
  store.flush();
  await delay(2.5 * SECOND);
  process.kill(primary.pid as number, 'SIGCONT');
  // The first look that it takes may be this one, or its own.
  await median();
  summary.observe(0.1);
  store.flush();
  const after = await median();
  assert.ok(Math.abs(after - 0.1) < 0.002, String(after));
});
