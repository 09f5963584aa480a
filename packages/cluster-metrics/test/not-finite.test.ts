import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import * as prom from 'prom-client';
import { ClusterRegistry, Counter, createStoreDirectory, Histogram, WorkerRegistry } from '../src/index.ts';
import { parseExposition } from '../src/testing/index.ts';
import { openCluster } from './support/stores.ts';

/** Two stores. The first also has a counter of prom-client and a histogram of ours. */
function openStores(t: TestContext) {
  const cluster = openCluster(t, 2);
  const [first, second] = cluster.workers;
  if (first === undefined || second === undefined) throw new Error('there are two');
  const registry = new WorkerRegistry(first.store);
  const theirs = new prom.Counter({ name: 'theirs_total', help: 'help', registers: [registry] });
  return { ...cluster, first, second, theirs, sample: () => registry.sample() };
}

test("prom-client's counter that received NaN shows it, and its worker goes on", async (t) => {
  const { first, second, theirs, sample, scrape, problems } = openStores(t);
  const other = new Counter({ name: 'theirs_total', help: 'help', registers: [new WorkerRegistry(second.store)] });
  theirs.inc(3);
  await sample();
  other.inc(5);
  assert.equal((await scrape()).of('theirs_total'), 8);

  theirs.inc(Number.NaN);
  first.counter.inc({ kind: 'a' });
  await sample();
  const after = await scrape();
  assert.equal(after.of('theirs_total'), Number.NaN, 'NaN and 5 are NaN, as prom-client adds them up');
  assert.equal(after.of('acts_total{kind="a"}'), 1);
  first.counter.inc({ kind: 'a' });
  first.gauge.set(7);
  await sample();
  const next = await scrape();
  assert.equal(next.of('acts_total{kind="a"}'), 2);
  assert.equal(next.of('depth'), 7);
  assert.deepEqual(problems, []);

  theirs.reset();
  theirs.inc(2);
  await sample();
  assert.equal((await scrape()).of('theirs_total'), Number.NaN, 'it is not known what was counted before');
  assert.deepEqual(problems, []);
});

for (const [what, observations, sum] of [
  ['overflows', [1e308, 1e308], Number.POSITIVE_INFINITY],
  ['overflows below', [-1e308, -1e308], Number.NEGATIVE_INFINITY],
] as const) {
  test(`a sum that ${what} shows it, and its worker goes on until its death`, async (t) => {
    const { registry, first, second, scrape, problems } = openStores(t);
    for (const value of observations) {
      first.histogram.observe({ route: '/' }, value);
      first.summary.observe(value);
    }
    second.histogram.observe({ route: '/' }, 5);
    first.counter.inc({ kind: 'a' });
    const whole = {
      'size_bytes_sum{route="/"}': sum,
      'size_bytes_count{route="/"}': 3,
      took_seconds_sum: sum,
      took_seconds_count: 2,
    };
    const shown = await scrape();
    for (const [head, value] of Object.entries(whole)) assert.equal(shown.of(head), value, head);
    assert.equal(shown.of('acts_total{kind="a"}'), 1);

    first.counter.inc({ kind: 'a' }, 2);
    first.histogram.observe({ route: '/' }, 3);
    first.store.flush();
    assert.equal((await scrape()).of('acts_total{kind="a"}'), 3);
    first.counter.inc({ kind: 'a' }, 4);
    first.store.flush();
    registry.fold(process.pid);
    const folded = await scrape();
    assert.equal(folded.of('acts_total{kind="a"}'), 7);
    assert.equal(folded.of('size_bytes_sum{route="/"}'), sum);
    assert.equal(folded.of('size_bytes_count{route="/"}'), 4);
    assert.deepEqual(problems, []);
  });
}

test('sums that overflowed to both sides are NaN, as for prom-client', async (t) => {
  const { first, second, scrape, problems } = openStores(t);
  for (let i = 0; i < 2; i++) {
    first.summary.observe(1e308);
    second.summary.observe(-1e308);
  }
  const shown = await scrape();
  assert.equal(shown.of('took_seconds_sum'), Number.NaN);
  assert.equal(shown.of('took_seconds_count'), 4);
  assert.deepEqual(problems, []);
});

test('a counter that overflows is infinite', async (t) => {
  const { first, scrape, problems } = openStores(t);
  for (let i = 0; i < 2; i++) first.counter.inc({ kind: 'a' }, 1e308);
  first.counter.inc({ kind: 'a' });
  assert.equal((await scrape()).of('acts_total{kind="a"}'), Number.POSITIVE_INFINITY);
  assert.deepEqual(problems, []);
});

/** A page with a registry of prom-client. */
function openPlain(t: TestContext) {
  const directory = createStoreDirectory({ name: 'finite' });
  const plain = new prom.Registry();
  const registry = new ClusterRegistry({ directory: directory.path, registers: [plain] });
  t.after(() => {
    registry.close();
    directory.remove();
  });
  return { plain, scrape: async () => parseExposition(await registry.clusterMetrics()) };
}

test("a plain registry's metrics that are not finite are shown unchanged", async (t) => {
  const { plain, scrape } = openPlain(t);
  const common = { help: 'help', registers: [plain] };
  const counter = new prom.Counter({ ...common, name: 'a_total' });
  const histogram = new prom.Histogram({ ...common, name: 'b', buckets: [1] });
  counter.inc(2);
  histogram.observe(1e308);
  await scrape();
  counter.inc(Number.NaN);
  histogram.observe(1e308);
  new prom.Gauge({ ...common, name: 'c' }).set(Number.NEGATIVE_INFINITY);
  for (let i = 0; i < 2; i++) {
    const samples = await scrape();
    assert.equal(samples.of('a_total'), Number.NaN);
    assert.equal(samples.of('b_sum'), Number.POSITIVE_INFINITY);
    assert.equal(samples.of('b_bucket{le="+Inf"}'), 2);
    assert.equal(samples.of('c'), Number.NEGATIVE_INFINITY);
  }
});

test('a histogram whose sum overflowed begins anew once when it is reset', async (t) => {
  const { plain, scrape } = openPlain(t);
  const histogram = new prom.Histogram({ name: 'b', help: 'help', buckets: [1, 2], registers: [plain] });
  for (let i = 0; i < 2; i++) histogram.observe(1e308);
  await scrape();
  let since = 0;
  for (const observations of [2, 1]) {
    histogram.reset();
    for (let i = 0; i < observations; i++) histogram.observe(1);
    since += observations;
    for (let i = 0; i < 3; i++) {
      const samples = await scrape();
      assert.equal(samples.of('b_bucket{le="1"}'), since);
      assert.equal(samples.of('b_count'), 2 + since);
      assert.equal(samples.of('b_sum'), Number.POSITIVE_INFINITY);
    }
  }
});

test('a sum may go from one end of the finite numbers to the other between two scrapes', async (t) => {
  const { first, scrape, problems } = openStores(t);
  const sums = { 'size_bytes_sum{route="/"}': first.histogram.labels('/'), took_seconds_sum: first.summary };
  for (const metric of Object.values(sums)) metric.observe(-1e308);
  first.store.flush();
  const before = await scrape();
  for (const head of Object.keys(sums)) assert.equal(before.of(head), -1e308, head);
  for (const metric of Object.values(sums)) for (let i = 0; i < 2; i++) metric.observe(1e308);
  first.store.flush();
  const after = await scrape();
  for (const head of Object.keys(sums)) assert.equal(after.of(head), 1e308, head);
  for (const metric of Object.values(sums)) for (let i = 0; i < 2; i++) metric.observe(-1e308);
  first.store.flush();
  const last = await scrape();
  for (const head of Object.keys(sums)) assert.equal(last.of(head), -1e308, head);
  assert.deepEqual(problems, []);
});

test('an infinite sum that damage has made finite is held until the worker has rewritten it', async (t) => {
  const { first, scrape, problems } = openStores(t);
  for (let i = 0; i < 2; i++) first.histogram.observe({ route: '/' }, 1e308);
  await scrape();
  const path = first.store.path as string;
  const file = readFileSync(path);
  const infinity = Buffer.alloc(8);
  infinity.writeDoubleLE(Number.POSITIVE_INFINITY);
  Buffer.alloc(8).copy(file, file.indexOf(infinity));
  writeFileSync(path, file);
  assert.equal((await scrape()).of('size_bytes_sum{route="/"}'), Number.POSITIVE_INFINITY);
  assert.deepEqual(
    problems.map(({ kind }) => kind),
    ['torn'],
  );
  first.counter.inc({ kind: 'a' });
  first.store.rewrite();
  assert.equal((await scrape()).of('acts_total{kind="a"}'), 1);
  assert.equal((await scrape()).of('size_bytes_sum{route="/"}'), Number.POSITIVE_INFINITY);
});

test('any observations by any workers show their float64 sum', async (t) => {
  const observations = fc.array(
    fc.record({
      worker: fc.nat(1),
      value: fc.double({ noNaN: true, noDefaultInfinity: true }),
      scraped: fc.boolean(),
    }),
    { maxLength: 30 },
  );
  let route = 0;
  const { workers, scrape, problems } = openCluster(t, 2);
  await fc.assert(
    fc.asyncProperty(observations, async (all) => {
      route++;
      const sums = [0, 0];
      for (const { worker, value, scraped } of all) {
        workers[worker]?.histogram.observe({ route }, value);
        workers[worker]?.store.flush();
        sums[worker] = (sums[worker] as number) + value;
        if (scraped) await scrape();
      }
      if (all.length === 0) return;
      const shown = await scrape();
      assert.equal(shown.of(`size_bytes_count{route="${route}"}`), all.length);
      const sum = shown.of(`size_bytes_sum{route="${route}"}`);
      // Where a worker's own sum has overflowed on the way, what the two make of it.
      if (sums.some((each) => !Number.isFinite(each))) assert.ok(!Number.isFinite(sum), `${sum}`);
      assert.deepEqual(problems, []);
    }),
    { numRuns: 100 },
  );
});

test('a histogram of a store in memory overflows as that of prom-client', async () => {
  for (const values of [
    [1e308, 1e308],
    [-1e308, -1e308],
    [1e308, 1e308, -1e308],
    [Number.MAX_VALUE, 1],
  ]) {
    const ours = new Histogram({ name: 'a', help: 'help', registers: [new WorkerRegistry()] });
    const theirs = new prom.Histogram({ name: 'a', help: 'help', registers: [new prom.Registry()] });
    for (const value of values) for (const each of [ours, theirs]) each.observe(value);
    const sumOf = (metric: { values: { metricName?: string; value: number }[] }) =>
      metric.values.find(({ metricName }) => metricName === 'a_sum')?.value;
    assert.equal(sumOf(await ours.get()), sumOf(await theirs.get()));
  }
});
