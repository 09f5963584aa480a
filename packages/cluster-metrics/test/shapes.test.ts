import assert from 'node:assert/strict';
import cluster, { type Worker } from 'node:cluster';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import prom from 'prom-client';
import { until } from '../../../test/support/wait.ts';
import {
  ClusterRegistry,
  Counter,
  createStoreDirectory,
  Gauge,
  Histogram,
  openStore,
  type StoreProblem,
  Summary,
  WorkerRegistry,
} from '../src/index.ts';
import { parseExposition } from '../src/testing/index.ts';
import { heapInUse } from './support/memory.ts';

const SHAPED_WORKER = fileURLToPath(new URL('support/shaped-worker.mjs', import.meta.url));

/** The metrics that a worker's code defines. */
type Code = { type: 'Counter' | 'Gauge' | 'Histogram' | 'Summary' | 'Defaults'; [option: string]: unknown }[];

function openCluster(t: TestContext, registers: prom.Registry[] = []) {
  const directory = createStoreDirectory({ name: 'shapes' });
  const problems: StoreProblem[] = [];
  const registry = new ClusterRegistry({
    directory: directory.path,
    registers,
    onProblem: (problem) => problems.push(problem),
  });
  t.after(() => {
    registry.close();
    directory.remove();
  });
  return {
    directory: directory.path,
    problems,
    scrape: async (worker?: number) =>
      parseExposition(await registry.clusterMetrics(worker === undefined ? {} : { worker })),
  };
}

/** A cluster of real processes, each started with the code that the test gives it. */
function openReloadable(t: TestContext, registers: prom.Registry[] = []) {
  const opened = openCluster(t, registers);
  const alive = new Set<Worker>();
  t.after(() => Promise.all(Array.from(alive, stop)));
  async function start(place: number, code: Code, count: number): Promise<Worker> {
    cluster.setupPrimary({ exec: SHAPED_WORKER, execArgv: [] });
    const worker = cluster.fork({ STORES: opened.directory, PLACE: place, CODE: JSON.stringify(code), COUNT: count });
    alive.add(worker);
    await once(worker, 'message');
    return worker;
  }
  async function stop(worker: Worker): Promise<void> {
    alive.delete(worker);
    const gone = once(worker, 'exit');
    worker.process.kill('SIGKILL');
    await gone;
  }
  return { ...opened, start, stop };
}

const former: Code = [
  { type: 'Histogram', name: 'took_seconds', buckets: [1, 2] },
  { type: 'Counter', name: 'acts_total', labelNames: ['a'] },
  { type: 'Gauge', name: 'depth' },
  { type: 'Counter', name: 'same_total' },
];
const latter: Code = [
  { type: 'Histogram', name: 'took_seconds', buckets: [1, 3] },
  { type: 'Counter', name: 'acts_total', labelNames: ['a', 'b'] },
  { type: 'Counter', name: 'depth' },
  { type: 'Counter', name: 'same_total' },
];
const conflicting = ['acts_total', 'depth', 'took_seconds'];

test('former shapes are shown until no worker has them after a reload, and the new shapes then', async (t) => {
  const { start, stop, scrape, problems } = openReloadable(t);
  const [first, second] = [await start(1, former, 10), await start(2, former, 20)];
  const before = await scrape();
  assert.equal(before.of('took_seconds_count'), 30);

  // The order of a reload: one place after the other, each successor before its predecessor exits.
  const newFirst = await start(1, latter, 3);
  const alone = await scrape(1);
  assert.equal(alone.of('took_seconds_bucket{le="3"}'), 3, 'in its own shape, beside its predecessor');
  assert.ok(!alone.has('took_seconds_bucket{le="2"}'));
  assert.equal(alone.of('same_total'), 3);
  await stop(first);
  const between = await scrape();
  assert.deepEqual(between.decreases(before), []);
  assert.equal(between.of('took_seconds_count'), 30, 'in the former shape');
  assert.ok(between.has('took_seconds_bucket{le="2"}'));
  assert.ok(!between.has('took_seconds_bucket{le="3"}'));
  assert.equal(between.of('same_total'), 33);
  assert.equal(between.of('depth'), 20);
  assert.equal((await scrape(1)).of('took_seconds_bucket{le="3"}'), 3, 'alone, it shows its own shape');
  assert.equal((await scrape(2)).of('took_seconds_bucket{le="2"}'), 20);

  const newSecond = await start(2, latter, 4);
  await stop(second);
  const after = await scrape();
  assert.equal(after.of('took_seconds_count'), 7, 'all that the new workers have counted since their start');
  assert.equal(after.of('took_seconds_bucket{le="3"}'), 7);
  assert.ok(!after.has('took_seconds_bucket{le="2"}'));
  assert.equal(after.of('acts_total{a="x",b="x"}'), 7);
  assert.ok(!after.has('acts_total{a="x",b=""}'));
  assert.equal(after.of('depth'), 7);
  assert.equal(after.of('same_total'), 37, 'what has kept its shape goes on');

  // The laws hold again from here on.
  await stop(newFirst);
  await stop(newSecond);
  assert.deepEqual((await scrape()).decreases(after), []);
  assert.deepEqual(
    problems
      .map(({ kind, metric }) => ({ kind, metric }))
      .sort((a, b) => String(a.metric).localeCompare(String(b.metric))),
    conflicting.map((metric) => ({ kind: 'conflict', metric })),
    'each name once, not once for each worker',
  );
  for (const { metric, message } of problems) assert.ok(message.startsWith(`${metric} `), message);
  assert.equal((await scrape()).of('cluster_metrics_store_problems_total{kind="conflict"}'), 3);
});

test('a new shape takes over at once when all workers have died', async (t) => {
  const { start, stop, scrape } = openReloadable(t);
  await stop(await start(1, former, 10));
  assert.equal((await scrape()).of('took_seconds_count'), 10, 'no worker has another shape yet');
  await start(1, latter, 3);
  assert.equal((await scrape()).of('took_seconds_bucket{le="3"}'), 3);
});

test('counts of new workers that died before their shape took over are not lost', async (t) => {
  const { start, stop, scrape } = openReloadable(t);
  const first = await start(1, former, 10);
  await stop(await start(2, latter, 5));
  await start(2, latter, 6);
  assert.equal((await scrape()).of('took_seconds_count'), 10);
  await stop(first);
  assert.equal((await scrape()).of('took_seconds_count'), 11);
});

test('a shape that is rolled back begins anew, and a hundred reloads take no room', async (t) => {
  const { directory, scrape } = openCluster(t);
  const series = Array.from({ length: 400 }, (_, n) => ({ n }));
  async function reload(i: number): Promise<void> {
    const store = openStore({ directory, worker: 1 });
    const registers = [new WorkerRegistry(store)];
    const histogram = new Histogram({
      name: 'took_seconds',
      help: 'help',
      labelNames: ['n'],
      buckets: i % 2 === 0 ? [1, 2, 3, 4] : [1, 2, 3, 5],
      registers,
    });
    for (const labels of series) histogram.observe(labels, 1);
    const labelNames = i % 2 === 0 ? ['n'] : ['n', 'm'];
    const summary = new Summary({ name: 'lasted_seconds', help: 'help', labelNames, percentiles: [0.5], registers });
    summary.observe({ n: 1 }, 1 + i);
    store.flush();
    const samples = await scrape();
    assert.equal(samples.of('took_seconds_count{n="7"}'), 1, `reload ${i}`);
    assert.equal(samples.of('lasted_seconds_count{n="1"}'), 1, `reload ${i}`);
    const median = samples.of('lasted_seconds{n="1",quantile="0.5"}');
    assert.ok(Math.abs(median - (1 + i)) <= 0.01 * (1 + i), `reload ${i}: ${median}`);
    store.close();
    await scrape();
  }
  // The compiler keeps more and more about the code of the first reloads, as much as 500 KB.
  for (let i = 0; i < 24; i++) await reload(i);
  const before = await heapInUse();
  for (let i = 24; i < 124; i++) await reload(i);
  const grown = (await heapInUse()) - before;
  // Without a leak it grows by 180 to 240 KB; if half of each shape were kept, by 950 KB more.
  assert.ok(grown < 600_000, `100 shapes of 19 KB each, and ${grown} bytes are kept`);
});

test('series go on when help, label order, percentiles, window or aggregator change, and the youngest worker decides', async (t) => {
  const { start, stop, scrape, problems } = openReloadable(t);
  const one: Code = [
    { type: 'Counter', name: 'acts_total', help: 'old', labelNames: ['a', 'b'] },
    { type: 'Summary', name: 'took_seconds', percentiles: [0.5], maxAgeSeconds: 600 },
    { type: 'Gauge', name: 'depth', aggregator: 'sum' },
  ];
  const two: Code = [
    { type: 'Counter', name: 'acts_total', help: 'new', labelNames: ['b', 'a'] },
    { type: 'Summary', name: 'took_seconds', percentiles: [0.9], maxAgeSeconds: 300 },
    { type: 'Gauge', name: 'depth', aggregator: 'max' },
  ];
  const first = await start(1, one, 10);
  assert.equal((await scrape()).of('acts_total{a="x",b="x"}'), 10);
  await start(2, two, 4);
  const both = await scrape();
  assert.equal(both.of('acts_total{a="x",b="x"}'), 14);
  assert.equal(both.of('took_seconds_count'), 14);
  assert.ok(both.of('took_seconds{quantile="0.9"}') > 0);
  assert.ok(!both.has('took_seconds{quantile="0.5"}'));
  assert.equal(both.of('depth'), 10);
  assert.match(both.text, /# HELP acts_total new\n/);
  await stop(first);
  assert.deepEqual((await scrape()).decreases(both), []);
  assert.deepEqual(problems, []);
});

test('label values follow their names in any order', async (t) => {
  const { directory, scrape } = openCluster(t);
  for (const labelNames of [
    ['b', 'a', 'c'],
    ['c', 'a', 'b'],
  ] as const) {
    const registers = [new WorkerRegistry(openStore({ directory, worker: labelNames.join('') }))];
    const acts = new Counter({ name: 'acts_total', help: 'help', labelNames, registers });
    acts.inc({ a: '1', b: '2', c: '3' });
    acts.inc({ b: '2' });
    registers[0]?.store.flush();
    t.after(() => registers[0]?.store.close());
  }
  const samples = await scrape();
  assert.equal(samples.of('acts_total{b="2",a="1",c="3"}'), 2);
  assert.equal(samples.of('acts_total{a="",b="2"}'), 2);
  assert.equal(samples.of('acts_total'), 4);
});

test("prom-client's default metrics of the primary and ours of the workers are both shown in the workers' shape", async (t) => {
  const own = new prom.Registry();
  prom.collectDefaultMetrics({ register: own });
  // The default metrics of prom-client's successor have a summary, which is refused.
  own.removeSingleMetric('nodejs_eventloop_utilization_summary');
  const { scrape, start, problems } = openReloadable(t, [own]);
  await scrape();
  await start(1, [{ type: 'Defaults' }], 0);
  await until("the worker's first sample", async () => (await scrape(1)).has('process_resident_memory_bytes'));
  assert.match((await scrape()).text, /# HELP nodejs_eventloop_lag_p99_seconds .*over the last 30 to 60 seconds/);
  // In this order, because the first garbage collection may happen in between.
  const alone = await scrape(1);
  const all = await scrape();
  for (const { series } of alone.samples) assert.ok(all.has(series), series);
  assert.ok(all.of('process_resident_memory_bytes') > alone.of('process_resident_memory_bytes'));
  assert.ok(all.of('nodejs_eventloop_lag_p99_seconds') > 0);
  assert.deepEqual(problems, []);
});

test("a metric that the primary defines differently is reported by name, and the workers' one is shown", async (t) => {
  const own = new prom.Registry();
  const registers = [own];
  new prom.Histogram({ name: 'took_seconds', help: 'help', buckets: [5], registers }).observe(1);
  new prom.Gauge({ name: 'acts_total', help: 'help', registers }).set(99);
  new prom.Counter({ name: 'only_total', help: 'help', registers }).inc(3);
  const { scrape, start, stop, problems } = openReloadable(t, [own]);
  assert.equal((await scrape()).of('took_seconds_bucket{le="5"}'), 1, 'while no other worker has it');
  const worker = await start(1, former, 10);
  const samples = await scrape();
  assert.equal(samples.of('took_seconds_bucket{le="2"}'), 10);
  assert.equal(samples.of('acts_total{a="x"}'), 10);
  assert.equal(samples.of('only_total'), 3);
  assert.deepEqual(problems.map(({ metric }) => metric).sort(), ['acts_total', 'took_seconds']);
  await stop(worker);
  assert.deepEqual((await scrape()).decreases(samples), [], 'also while no worker lives');
});

test('gauges of a former shape disappear with their workers', async (t) => {
  const { directory, scrape } = openCluster(t);
  const open = (worker: number, labelNames: string[]) => {
    const store = openStore({ directory, worker });
    const gauge = new Gauge({ name: 'depth', help: 'help', labelNames, registers: [new WorkerRegistry(store)] });
    gauge.set(Object.fromEntries(labelNames.map((name) => [name, 'x'])), worker);
    store.flush();
    return store;
  };
  const depths = async () => {
    const { samples } = await scrape();
    return samples.flatMap(({ name, series, value }) => (name === 'depth' ? [[series, value]] : []));
  };
  const first = open(1, ['a']);
  const second = open(2, ['b']);
  t.after(() => second.close());
  assert.deepEqual(await depths(), [['depth{a="x"}', 1]]);
  first.close();
  assert.deepEqual(await depths(), [['depth{b="x"}', 2]]);
});
