import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import * as prom from 'prom-client';
import {
  ClusterRegistry,
  type ClusterRegistryOptions,
  Counter,
  createStoreDirectory,
  Gauge,
  Histogram,
  openStore,
  Summary,
  WorkerRegistry,
} from '../src/index.ts';
import { parseExposition } from '../src/testing/index.ts';
import { type Metric, readProtobuf, toMs } from './support/protobuf.ts';

/** A folder of stores. The wall clock stands, at a time that the test sets. */
function openInstance(t: TestContext) {
  const directory = createStoreDirectory({ name: 'starts' });
  let nowMs = 1_800_000_000_000;
  t.mock.method(Date, 'now', () => nowMs);
  t.after(() => directory.remove());
  return {
    at(seconds: number): number {
      nowMs = 1_800_000_000_000 + 1000 * seconds;
      return nowMs;
    },
    openPrimary(options: Partial<ClusterRegistryOptions> = {}) {
      const registry = new ClusterRegistry({ directory: directory.path, ...options });
      t.after(() => registry.close());
      return registry;
    },
    openWorker(worker: number) {
      const store = openStore({ directory: directory.path, worker });
      t.after(() => store.close());
      const common = { help: 'help', registers: [new WorkerRegistry(store)] };
      return {
        store,
        common,
        counter: new Counter({ ...common, name: 'acts_total', labelNames: ['kind'] }),
      };
    },
  };
}

async function scrape(registry: ClusterRegistry): Promise<ReturnType<typeof readProtobuf>> {
  return readProtobuf(await registry.exposition({ contentType: ClusterRegistry.PROTOBUF_CONTENT_TYPE }));
}

/** The start of the only series of a metric, or of the one with the label value. */
async function startOf(registry: ClusterRegistry, name: string, value?: string): Promise<number> {
  const metrics = (await scrape(registry)).get(name)?.metric ?? [];
  const metric = metrics.find(({ label = [] }) => value === undefined || label.some((each) => each.value === value));
  return startIn(metric);
}

function startIn(metric: Metric | undefined): number {
  const { createdTimestamp } = metric?.counter ?? metric?.histogram ?? metric?.summary ?? {};
  return createdTimestamp === undefined ? Number.NaN : toMs(createdTimestamp);
}

test('counters, histograms and summaries tell when their first worker made them; gauges do not', async (t) => {
  const { at, openPrimary, openWorker } = openInstance(t);
  const registry = openPrimary();
  const { common, counter } = openWorker(1);
  const made = at(10.123);
  counter.zero({ kind: 'a' });
  new Histogram({ ...common, name: 'classic' });
  new Histogram({ ...common, name: 'native', native: true });
  new Summary({ ...common, name: 'took', nativeHistogram: 'took_histogram' });
  new Gauge({ ...common, name: 'depth' }).set(1);
  at(20);
  const families = await scrape(registry);
  for (const name of ['acts_total', 'classic', 'native', 'took', 'took_histogram']) {
    assert.equal(startIn(families.get(name)?.metric[0]), made, name);
  }
  assert.deepEqual(families.get('depth')?.metric[0]?.gauge, { value: 1 });
});

test('a start is that of the first worker, and stays when workers die and others follow', async (t) => {
  const { at, openPrimary, openWorker } = openInstance(t);
  const registry = openPrimary();
  const [first, second] = [openWorker(1), openWorker(2)];
  at(12);
  first.counter.inc({ kind: 'a' });
  const made = at(11);
  second.counter.inc({ kind: 'a' });
  at(13);
  assert.equal(await startOf(registry, 'acts_total'), made);
  for (const { store } of [first, second]) store.close();
  assert.equal(await startOf(registry, 'acts_total'), made);
  for (const clockSeconds of [20, -3600]) {
    at(clockSeconds);
    const successor = openWorker(1);
    successor.counter.inc({ kind: 'a' });
    successor.store.flush();
    assert.equal(await startOf(registry, 'acts_total'), made, 'even if the clock is set back');
    successor.store.close();
  }
});

test('a counter that goes on from a total of something else has no start', async (t) => {
  const { openPrimary, openWorker } = openInstance(t);
  const registry = openPrimary();
  const { common } = openWorker(1);
  const commits = new Counter({ ...common, name: 'commits_total', labelNames: ['of'], continuesTotal: true });
  commits.inc({ of: 'server' }, 1_000_000);
  const metric = (await scrape(registry)).get('commits_total')?.metric?.[0];
  assert.equal(metric?.counter?.value, 1_000_000);
  assert.ok(Number.isNaN(startIn(metric)));
  const text = await registry.exposition({
    contentType: ClusterRegistry.OPENMETRICS_CONTENT_TYPE,
    createdSamples: true,
  });
  assert.doesNotMatch(String(text), /commits_created/);
});

test('a series that comes late has a late start', async (t) => {
  const { at, openPrimary, openWorker } = openInstance(t);
  const registry = openPrimary();
  const { counter, store } = openWorker(1);
  counter.inc({ kind: 'a' });
  await scrape(registry);
  const later = at(3600);
  counter.inc({ kind: 'b' });
  store.flush();
  assert.equal(await startOf(registry, 'acts_total', 'b'), later);
  assert.equal(await startOf(registry, 'acts_total', 'a'), later - 3_600_000);
});

test('all starts anew with a primary that shows what is counted from now on', async (t) => {
  const { at, openPrimary, openWorker } = openInstance(t);
  const { counter, store } = openWorker(1);
  const made = at(1);
  counter.inc({ kind: 'a' });
  store.flush();
  at(50);
  assert.equal(await startOf(openPrimary(), 'acts_total'), made, 'it shows what the worker counted since then');
  const started = at(60);
  const fromNow = openPrimary({ shows: 'from-now' });
  at(70);
  assert.equal(await startOf(fromNow, 'acts_total'), started);
});

test('a metric that takes over with another shape starts when the former one was shown last', async (t) => {
  const { at, openPrimary, openWorker } = openInstance(t);
  const registry = openPrimary();
  const before = openWorker(1);
  new Histogram({ ...before.common, name: 'size' }).observe(1);
  before.store.flush();
  const made = await startOf(registry, 'size');
  at(10);
  const after = openWorker(2);
  new Histogram({ ...after.common, name: 'size', native: true }).observe(1);
  after.store.flush();
  const shown = at(20);
  assert.equal(await startOf(registry, 'size'), made);
  before.store.close();
  // The store is read a last time, then the other shape takes over.
  await scrape(registry);
  at(30);
  assert.equal(await startOf(registry, 'size'), shown);
});

test("what prom-client's own metrics have counted before the first look may be as old as the process", async (t) => {
  const { at, openPrimary } = openInstance(t);
  const theirs = new prom.Registry();
  const counter = new prom.Counter({ name: 'theirs_total', help: 'help', labelNames: ['kind'], registers: [theirs] });
  counter.inc({ kind: 'a' });
  const registry = openPrimary({ registers: [theirs] });
  const looked = at(5);
  assert.equal(Math.trunc(await startOf(registry, 'theirs_total', 'a')), Math.trunc(performance.timeOrigin));
  at(6);
  counter.inc({ kind: 'b' });
  assert.equal(await startOf(registry, 'theirs_total', 'b'), looked);
});

test('OpenMetrics has the same times in seconds where they are asked for, once for each series', async (t) => {
  const { at, openPrimary, openWorker } = openInstance(t);
  const registry = openPrimary();
  const { common, counter } = openWorker(1);
  const made = at(10.5);
  counter.inc({ kind: 'a' });
  new Histogram({ ...common, name: 'size_bytes' }).observe(1);
  new Summary({ ...common, name: 'took_seconds' }).observe(1);
  new Gauge({ ...common, name: 'depth' }).set(1);
  const contentType = ClusterRegistry.OPENMETRICS_CONTENT_TYPE;
  const text = (await registry.exposition({ contentType, createdSamples: true })).toString();
  const page = parseExposition(text, contentType);
  assert.equal(page.of('acts_created{kind="a"}'), made / 1000);
  assert.equal(page.of('size_bytes_created'), made / 1000);
  assert.equal(page.of('took_seconds_created'), made / 1000);
  assert.equal(page.has('depth_created'), false);
  assert.doesNotMatch((await registry.exposition({ contentType })).toString(), /_created/);
});
