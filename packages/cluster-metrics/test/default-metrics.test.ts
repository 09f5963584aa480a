import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as prom from 'prom-client';
import { until } from '../../../test/support/wait.ts';
import { ClusterRegistry, collectDefaults, Gauge, WorkerRegistry } from '../src/index.ts';
import { parseExposition } from '../src/testing/index.ts';
import { openCluster } from './support/stores.ts';

test('default metrics have their usual names and are merged as each says', async (t) => {
  const { workers, scrape } = openCluster(t, 2);
  for (const { store } of workers) t.after(collectDefaults(new WorkerRegistry(store)));
  const samples = await until('the first sample', async () => {
    const samples = await scrape();
    return samples.has('nodejs_version_info') && samples;
  });
  assert.ok(samples.of('process_resident_memory_bytes') > 2 * 10_000_000, 'of two workers');
  assert.ok(samples.of('process_cpu_seconds_total') > 0);
  const [major, minor, patch] = process.versions.node.split('.');
  const version = `nodejs_version_info{version="v${process.versions.node}",major="${major}",minor="${minor}",patch="${patch}"}`;
  assert.equal(samples.of(version), 1, 'first, not summed');
  assert.ok(samples.of('nodejs_heap_space_size_used_bytes{space="old"}') > 0);
  assert.ok(!samples.has('process_start_time_seconds'), 'omitted when there are several');
  assert.ok((await scrape({ worker: '1' })).of('process_start_time_seconds') > 0);
  assert.ok(!samples.has('nodejs_active_handles_total'));
});

test('the time of the event loop is counted as active and as idle, and is never more than has passed', async (t) => {
  const registry = new WorkerRegistry();
  const startedMs = performance.now();
  const before = performance.eventLoopUtilization();
  t.after(collectDefaults(registry));
  const read = async () => {
    const page = parseExposition(await registry.metrics());
    return (state: string) => page.of('nodejs_eventloop_time_seconds_total', { state });
  };
  const busyMs = 300;
  const first = await read();
  assert.ok(first('active') >= before.active / 1000);
  while (performance.now() - startedMs < busyMs);
  await until('idle time is counted', async () => (await read())('idle') > first('idle'));

  const last = await read();
  assert.ok(last('active') - first('active') > (0.9 * busyMs) / 1000, `${last('active') - first('active')} s`);
  const counted = last('active') + last('idle');
  assert.ok(counted <= performance.now() / 1000, `${counted} s`);
});

test("the library's own default metrics can be registered too, but for a summary", () => {
  const registry = new WorkerRegistry();
  const plain = new prom.Registry();
  prom.collectDefaultMetrics({ register: plain });
  for (const metric of plain.getMetricsAsArray() as unknown as prom.Metric[]) {
    if (!(metric instanceof prom.Summary)) registry.registerMetric(metric);
  }
  assert.ok(registry.getSingleMetric('nodejs_active_handles_total'));
  assert.ok(registry.getSingleMetric('nodejs_active_handles'));
});

test('default metrics without a WorkerRegistry are refused with what to write', () => {
  for (const registry of [undefined, null, {}, { registry: new WorkerRegistry() }, new prom.Registry()]) {
    assert.throws(() => collectDefaults(registry as unknown as WorkerRegistry), {
      name: 'TypeError',
      message: 'collectDefaults needs a WorkerRegistry: write collectDefaults(registry, { prefix })',
    });
  }
});

test('a percentile of the event loop lag is that of the slowest process', async () => {
  const registry = new WorkerRegistry();
  collectDefaults(registry)();
  const metrics: { name: string; aggregator: string }[] = await registry.getMetricsAsJSON();
  const merged = new Map(metrics.map(({ name, aggregator }) => [name, aggregator]));
  for (const percentile of ['p50', 'p90', 'p99']) {
    assert.equal(merged.get(`nodejs_eventloop_lag_${percentile}_seconds`), 'max');
  }
  assert.equal(merged.get('nodejs_eventloop_lag_mean_seconds'), 'average');
});

test('an earlier block of the event loop stays visible after later samples', async (t) => {
  const registry = new WorkerRegistry();
  let samples = 0;
  new Gauge({
    name: 'samples',
    help: 'Counts how often it is sampled',
    registers: [registry],
    collect() {
      samples++;
    },
  });
  t.after(collectDefaults(registry));
  await until('the loop is watched', () => samples > 1);
  const blockedMs = 400;
  const end = performance.now() + blockedMs;
  while (performance.now() < end);
  const before = samples;
  await until('it has been sampled again and again', () => samples > before + 2);

  const metrics = await registry.metrics();
  const lag = (what: string) =>
    Number(new RegExp(`^nodejs_eventloop_lag_${what}_seconds (.+)$`, 'm').exec(metrics)?.[1]);
  assert.ok(lag('max') > 0.9 * (blockedMs / 1000), `${lag('max')} s`);
  assert.ok(lag('p99') > lag('p50') && lag('p99') <= lag('max'));
  assert.ok(lag('min') > 0 && lag('min') <= lag('mean') && lag('mean') < lag('max') && lag('stddev') > 0);
  assert.match(metrics, /# HELP nodejs_eventloop_lag_max_seconds .*, over the last 30 to 60 seconds\n/);
});

test('garbage collections are merged bucket by bucket', async (t) => {
  const { workers, scrape } = openCluster(t, 2);
  const own: prom.Histogram<'kind'>[] = [];
  for (const { store } of workers) {
    const registry = new WorkerRegistry(store);
    const histogram = new prom.Histogram({
      name: 'gc_seconds',
      help: 'help',
      labelNames: ['kind'],
      buckets: [0.1, 1],
      registers: [registry],
    });
    own.push(histogram);
    t.after(registry.sampleRegularly());
  }
  own[0]?.observe({ kind: 'minor' }, 0.05);
  own[0]?.observe({ kind: 'minor' }, 0.5);
  own[1]?.observe({ kind: 'minor' }, 5);
  own[1]?.observe({ kind: 'major' }, 0.05);
  const samples = await until('a sample', async () => {
    const samples = await scrape();
    return samples.get('gc_seconds_count{kind="minor"}') === 3 && samples;
  });
  assert.equal(samples.of('gc_seconds_bucket{kind="minor",le="0.1"}'), 1);
  assert.equal(samples.of('gc_seconds_bucket{kind="minor",le="1"}'), 2);
  assert.equal(samples.of('gc_seconds_bucket{kind="minor",le="+Inf"}'), 3);
  assert.equal(samples.of('gc_seconds_sum{kind="minor"}'), 5.55);
  assert.equal(samples.of('gc_seconds_count{kind="major"}'), 1);
});

test("counts of prom-client's own metrics survive their reset, and a collect that throws fails no scrape", async (t) => {
  const { directory } = openCluster(t, 0);
  const registry = new prom.Registry();
  const common = { help: 'help', registers: [registry] };
  const counter = new prom.Counter({ ...common, name: 'a_total' });
  const histogram = new prom.Histogram({ ...common, name: 'size', buckets: [1, 10] });
  new prom.Gauge({
    ...common,
    name: 'rooms',
    collect() {
      throw new Error('a bug');
    },
  });
  const warnings: string[] = [];
  const warned = (warning: Error) => warnings.push(warning.message);
  process.on('warning', warned);
  t.after(() => process.off('warning', warned));
  const cluster = new ClusterRegistry({ directory, registers: [registry] });
  t.after(() => cluster.close());
  const scrape = async () => parseExposition(await cluster.clusterMetrics());

  counter.inc(10);
  for (const value of [0.5, 5, 50, -3]) histogram.observe(value);
  assert.equal((await scrape()).of('size_sum'), 52.5);
  histogram.observe(-4);
  const before = await scrape();
  assert.deepEqual([before.of('a_total'), before.of('size_sum'), before.of('size_count')], [10, 48.5, 5]);
  let acts = 0;
  for (const since of [2, 1]) {
    registry.resetMetrics();
    for (let i = 0; i < since; i++) {
      counter.inc();
      histogram.observe(5);
    }
    acts += since;
    const after = await scrape();
    assert.equal(after.of('a_total'), 10 + acts);
    assert.equal(after.of('size_bucket{le="1"}'), 3);
    assert.equal(after.of('size_bucket{le="10"}'), 4 + acts);
    assert.equal(after.of('size_count'), 5 + acts);
    assert.equal(after.of('size_sum'), 48.5 + 5 * acts);
  }
  await until('it is reported', () => warnings.length > 0);
  assert.deepEqual(warnings, ['A metric could not be sampled: a bug']);
});

test('gauges that collect are at most a second old, a removed one disappears, and a failure is reported', async (t) => {
  const { workers, scrape } = openCluster(t, 1);
  const registry = new WorkerRegistry(workers[0]?.store);
  const problems: Error[] = [];
  const gauge = new prom.Gauge({
    name: 'rooms',
    help: 'help',
    labelNames: ['room'],
    registers: [registry],
    collect() {
      this.inc({ room: 'a' });
      agesMs.push(performance.now() - lastAt);
      lastAt = performance.now();
      if (calls++ === 1) this.remove('b');
      if (calls === 3) throw new Error('a bug');
    },
  });
  let calls = 0;
  const agesMs: number[] = [];
  let lastAt = Number.NEGATIVE_INFINITY;
  gauge.set({ room: 'b' }, 1);
  t.after(registry.sampleRegularly({ onProblem: (problem) => problems.push(problem) }));
  await until('the first sample', async () => (await scrape()).get('rooms{room="b"}') === 1);
  await until('the second sample', async () => !(await scrape()).has('rooms{room="b"}'));
  await until('the failure', () => problems.length === 1);
  await until('sampling goes on', async () => (await scrape()).of('rooms{room="a"}') >= 4);
  // Not all of them: a timer may fire late on a busy machine.
  assert.ok(Math.min(...agesMs) < 900, `sampled after ${agesMs} ms`);
});

test('a collect that never ends is called once, and neither it nor one that throws delays the rest', async (t) => {
  const registry = new WorkerRegistry();
  const common = { help: 'help', registers: [registry] };
  const calls = { hanging: 0, failing: 0, last: 0 };
  new Gauge({
    ...common,
    name: 'hanging',
    collect() {
      calls.hanging++;
      return new Promise<never>(() => {});
    },
  });
  new Gauge({
    ...common,
    name: 'failing',
    collect() {
      calls.failing++;
      throw new Error('a bug');
    },
  });
  new Gauge({ ...common, name: 'last', collect: () => void calls.last++ });
  t.after(registry.sampleRegularly());
  await until('the last one is sampled on and on', () => calls.last >= 3);
  assert.deepEqual(calls, { hanging: 1, failing: calls.last, last: calls.last });
});

test('a scrape adds no sample to a metric with a sampler of its own', async (t) => {
  const registry = new WorkerRegistry();
  let samples = 0;
  new Gauge({ name: 'rooms', help: 'help', registers: [registry], collect: () => void samples++ });
  const { directory } = openCluster(t, 0);
  const cluster = new ClusterRegistry({ directory, registers: [registry] });
  t.after(() => cluster.close());
  await cluster.clusterMetrics();
  assert.equal(samples, 1, 'only the scrape does');
  const stop = registry.sampleRegularly();
  assert.equal(samples, 2);
  for (let i = 0; i < 50; i++) await cluster.clusterMetrics();
  assert.ok(samples < 50, 'only its own timer does');
  stop();
  const before = samples;
  await cluster.clusterMetrics();
  assert.equal(samples, before + 1);
});
