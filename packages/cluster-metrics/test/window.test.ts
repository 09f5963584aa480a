import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { ClusterRegistry, createStoreDirectory, openStore, Summary, WorkerRegistry } from '../src/index.ts';
import { Store } from '../src/store/store.ts';
import { StoreFile } from '../src/store/store-file.ts';
import { SlidingWindows } from '../src/store/window.ts';
import { parseExposition } from '../src/testing/index.ts';
import { openCluster, openWorker } from './support/stores.ts';

const SECOND = 1000;
const WINDOW_SECONDS = 6;
/** A window of 6 s that moves in steps of a second. */
const STEP_MS = SECOND;

/** One summary with a single bin. An observation follows each scrape. */
function watch(maxAgeSeconds: number) {
  const windows = new SlidingWindows(0);
  const summary = {
    description: { name: 's', help: 'h', type: 'summary', aggregator: 'sum', labelNames: [], maxAgeSeconds } as const,
  };
  windows.add(summary, 0, 1);
  const counts = new Float64Array(1);
  const observedMs: number[] = [];
  return {
    /** @returns the times of the observations in the window */
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

test('no scrape shows observations older than the window and one step, however far apart the scrapes are', () => {
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
    // Scrapes within one step. The last one finds observations of the first one too old.
    { examples: [[[6978, 13, 9]]] },
  );
});

test('regular scrapes show all observations within the window', () => {
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

test('a primary that was stopped for longer than the window shows nothing older than the window', async (t) => {
  const directory = createStoreDirectory({ name: 'window' });
  const { store, summary } = openWorker(directory.path, 1, { maxAgeSeconds: 1 });
  const primary = fork(fileURLToPath(new URL('support/primary.mjs', import.meta.url)), [directory.path], {
    execArgv: [],
  });
  t.after(() => {
    primary.kill('SIGKILL');
    store.close();
    directory.remove();
  });
  await once(primary, 'message');
  const median = async () => {
    primary.send('scrape');
    const [text] = await once(primary, 'message');
    return parseExposition(text).of('took_seconds{quantile="0.5"}');
  };
  for (let i = 0; i < 100; i++) summary.observe(9);
  store.flush();
  assert.ok((await median()) > 8.9);
  process.kill(primary.pid as number, 'SIGSTOP');
  for (let i = 0; i < 100; i++) summary.observe(9);
  store.flush();
  await delay(2.5 * SECOND);
  process.kill(primary.pid as number, 'SIGCONT');
  // Its first reading may be this scrape or its own.
  await median();
  summary.observe(0.1);
  store.flush();
  const after = await median();
  assert.ok(Math.abs(after - 0.1) < 0.002, String(after));
});

test('growth that could not be read for a while leaves the window in time, and the rest stays', () => {
  const windows = new SlidingWindows(0);
  const description = { name: 's', help: 'h', type: 'summary', aggregator: 'sum', labelNames: [] } as const;
  windows.add({ description: { ...description, maxAgeSeconds: WINDOW_SECONDS } }, 0, 2);
  const counts = new Float64Array(2);
  const shown = (slot: number) => (counts[slot] as number) - (windows.before[slot] as number);
  const LATE_AT = 5;
  const SINCE = 1;
  for (let second = 1; second <= 20; second++) {
    counts[0] = (counts[0] as number) + 1;
    if (second === LATE_AT) {
      counts[1] = 1;
      windows.growthFrom(SINCE * SECOND);
    }
    windows.advance(second * SECOND, counts);
    if (second > SINCE + WINDOW_SECONDS) assert.equal(shown(1), 0, `${second} s`);
    else if (second >= LATE_AT) assert.equal(shown(1), 1, `${second} s`);
    // The step that brought it counts as that old, with all that it brought.
    assert.ok(shown(0) >= Math.min(second, WINDOW_SECONDS - 1), `${shown(0)} after ${second} s`);
  }
});

/** This process's clock, which a test can put forward: a pause without scrapes. */
function mockClock(t: TestContext): (seconds: number) => void {
  const now = performance.now.bind(performance);
  let offsetMs = 0;
  t.mock.method(performance, 'now', () => now() + offsetMs);
  return (seconds) => {
    offsetMs += seconds * SECOND;
  };
}

const LABELS = '{op="a"}';
const MEDIAN = 's{op="a",quantile="0.5"}';

/** A summary with one label and no series yet. */
function labelled(store: Store) {
  const common = { help: 'help', labelNames: ['op'], registers: [new WorkerRegistry(store)] };
  return new Summary({ ...common, name: 's', percentiles: [0.5], maxAgeSeconds: 1 });
}

for (const shows of ['all', 'from-now'] as const) {
  test(`observations older than a registry that shows ${shows} are outside of its window, and all younger ones within`, async (t) => {
    const passes = mockClock(t);
    const directory = createStoreDirectory({ name: 'window' });
    const { store, summary } = openWorker(directory.path, 1, { maxAgeSeconds: 3 });
    summary.observe(7);
    store.flush();
    passes(5);
    const [silent, counting] = [0, 1].map(() => new ClusterRegistry({ directory: directory.path, shows }));
    t.after(() => {
      store.close();
      silent?.close();
      counting?.close();
      directory.remove();
    });
    const medianOf = async (registry?: ClusterRegistry, worker?: number) =>
      parseExposition((await registry?.clusterMetrics({ worker })) ?? '').of('took_seconds{quantile="0.5"}');
    assert.equal(await medianOf(silent), Number.NaN);
    assert.equal(await medianOf(silent, 1), Number.NaN);
    summary.observe(5);
    for (const worker of [undefined, 1]) {
      const median = await medianOf(counting, worker);
      assert.ok(Math.abs(median - 5) < 0.05, `${median}, of worker ${worker}`);
    }
  });
}

test('the first observation of a series counts as being as old as the pause between two scrapes', async (t) => {
  const passes = mockClock(t);
  const { directory, scrape } = openCluster(t, 0);
  const store = openStore({ directory, worker: 1 });
  t.after(() => store.close());
  const summary = labelled(store);
  store.flush();
  await scrape();
  summary.observe({ op: 'a' }, 9);
  store.flush();
  passes(3);
  const late = await scrape();
  assert.equal(late.of(`s_count${LABELS}`), 1);
  assert.equal(late.of(MEDIAN), Number.NaN);
  assert.equal((await scrape({ worker: '1' })).of(MEDIAN), Number.NaN);
  summary.observe({ op: 'a' }, 5);
  store.flush();
  assert.ok(Math.abs((await scrape()).of(MEDIAN) - 5) < 0.05);
  assert.ok(Math.abs((await scrape({ worker: '1' })).of(MEDIAN) - 5) < 0.05);
});

test('a registry in memory shows the first observation of a summary that is made late', async (t) => {
  const passes = mockClock(t);
  const registry = new WorkerRegistry();
  passes(3600);
  const summary = labelled(registry.store);
  summary.observe({ op: 'a' }, 5);
  const { values } = await summary.get();
  assert.ok(Math.abs((values[0]?.value as number) - 5) < 0.05);
});

test("observations in a file that could not be opened count as being as old as the file's first sight", async (t) => {
  const passes = mockClock(t);
  const { directory, scrape } = openCluster(t, 0);
  const [hidden, open] = [1, 2].map((worker) => openStore({ directory, worker }));
  t.after(() => {
    hidden?.close();
    open?.close();
  });
  if (hidden?.path == null || open === undefined) throw new Error('there are two');
  const summaries = [labelled(hidden), labelled(open)];
  const aside = `${directory}/../aside-${process.pid}`;
  // A link is not followed. It stands for a file that the primary cannot open for want of descriptors.
  renameSync(hidden.path, aside);
  symlinkSync('/nowhere', hidden.path);
  t.after(() => rmSync(aside, { force: true }));
  summaries[0]?.observe({ op: 'a' }, 9);
  hidden.flush();
  for (let second = 0; second < 4; second++) {
    summaries[1]?.observe({ op: 'a' }, 5);
    open.flush();
    assert.ok(Math.abs((await scrape()).of(MEDIAN) - 5) < 0.05);
    passes(1);
  }
  renameSync(aside, hidden.path);
  const late = await scrape();
  assert.equal(late.of(`s_count${LABELS}`), 5);
  assert.ok(!(late.of(MEDIAN) > 5.1), String(late.of(MEDIAN)));
  assert.equal((await scrape({ worker: '1' })).of(MEDIAN), Number.NaN);
  summaries[0]?.observe({ op: 'a' }, 7);
  hidden.flush();
  await scrape();
  assert.ok(Math.abs((await scrape({ worker: '1' })).of(MEDIAN) - 7) < 0.07, 'from now on it is dated as any other');
});

test('observations that were in memory only, without a folder, may be of any age', async (t) => {
  const { directory, scrape } = openCluster(t, 0);
  rmSync(directory, { recursive: true });
  writeFileSync(directory, 'a file where the folder should be');
  const store = openStore({ directory, worker: 1, onProblem() {} });
  t.after(() => store.close());
  const summary = labelled(store);
  for (const value of [9, 0]) summary.observe({ op: 'a' }, value);
  await scrape();
  rmSync(directory);
  store.rewrite();
  const late = await scrape();
  assert.equal(late.of(`s_count${LABELS}`), 2);
  assert.equal(late.of(MEDIAN), Number.NaN);
  summary.observe({ op: 'a' }, 5);
  store.flush();
  assert.ok(Math.abs((await scrape()).of(MEDIAN) - 5) < 0.05);
});

test('a series that was in memory only, without room in the file, may be of any age', async (t) => {
  const { directory, scrape } = openCluster(t, 0);
  const file = new StoreFile({ directory, worker: '1', capacity: 1024, onProblem() {} });
  const store = new Store(file);
  t.after(() => store.close());
  const summary = labelled(store);
  summary.observe({ op: 'a' }, 5);
  store.flush();
  assert.ok(Math.abs((await scrape()).of(MEDIAN) - 5) < 0.05);
  file.countFailure(new Error('no space left on device'));
  summary.observe({ op: 'late' }, 9);
  assert.ok(!(await scrape()).has('s_count{op="late"}'));
  store.rewrite();
  const late = await scrape();
  assert.equal(late.of('s_count{op="late"}'), 1);
  assert.equal(late.of('s{op="late",quantile="0.5"}'), Number.NaN);
});
