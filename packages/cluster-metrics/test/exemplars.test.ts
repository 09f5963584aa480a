import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import * as prom from 'prom-client';
import { until } from '../../../test/support/wait.ts';
import {
  ClusterRegistry,
  Counter,
  createStoreDirectory,
  Histogram,
  type HistogramConfiguration,
  openStore,
  WorkerRegistry,
} from '../src/index.ts';
import { type Exemplar, parseExposition } from '../src/testing/index.ts';
import { readProtobuf, toMs } from './support/protobuf.ts';
import { OPENMETRICS } from './support/stores.ts';

const BUCKETS = [1, 10, 100];

interface Options {
  capacity?: number;
  native?: NonNullable<HistogramConfiguration<string>['native']>;
}

/** The metrics with exemplars of one process. */
function define(registry: WorkerRegistry, native: Options['native'] = false) {
  const common = { help: 'help', labelNames: ['kind'] as const, enableExemplars: true, registers: [registry] };
  return {
    acts: new Counter({ ...common, name: 'acts_total' }),
    size: new Histogram({ ...common, name: 'size', buckets: BUCKETS, native }),
  };
}

/** Stores of this process and their primary, which has such metrics too. */
function openCluster(t: TestContext, workers: number, { capacity, native = false }: Options = {}) {
  const directory = createStoreDirectory({ name: 'exemplars' });
  const own = new WorkerRegistry();
  const registry = new ClusterRegistry({ directory: directory.path, registers: [own] });
  const opened = Array.from({ length: workers }, (_, i) => {
    const store = openStore({ directory: directory.path, worker: i + 1, ...(capacity !== undefined && { capacity }) });
    return { store, ...define(new WorkerRegistry(store), native) };
  });
  t.after(() => {
    for (const { store } of opened) store.close();
    registry.close();
    directory.remove();
  });
  return {
    directory: directory.path,
    registry,
    workers: opened,
    primary: define(own, native),
    /** Each exemplar by the name and labels of its sample. */
    async read(worker?: number): Promise<Map<string, Exemplar>> {
      const page = parseExposition(await registry.clusterMetrics({ contentType: OPENMETRICS, worker }));
      return new Map(
        page.samples.flatMap(({ series, exemplar }) => (exemplar === undefined ? [] : [[series, exemplar]])),
      );
    },
    async count(): Promise<number> {
      return parseExposition(await registry.clusterMetrics()).of('size_count');
    },
  };
}

/** Makes sure that the next exemplar is newer. */
function nextMillisecond(): void {
  const now = Date.now();
  while (Date.now() === now);
}

test('OpenMetrics shows the newest exemplar of each bucket and counter, of all workers and of one', async (t) => {
  const { workers, primary, read, registry } = openCluster(t, 2);
  const [first, second] = workers as [(typeof workers)[0], (typeof workers)[0]];
  const beganMs = Date.now();
  first.size.observe({ kind: 'a' }, 0.5, { trace_id: 'old' });
  first.size.observe({ kind: 'a' }, 5, { trace_id: 'alone' });
  first.acts.inc({ labels: { kind: 'a' }, exemplarLabels: { trace_id: 'act' } });
  nextMillisecond();
  second.size.labels('a').observe(1, { trace_id: 'new', user: 7 });
  second.size.observe({ labels: { kind: 'a' }, value: 1000, exemplarLabels: { trace_id: 'above all' } });
  second.size.observe({ kind: 'b' }, 50);
  primary.size.observe({ kind: 'c' }, 50, { text: 'a "b" \\ c\n' });
  for (const { store } of workers) store.rewrite();

  const shown = await read();
  assert.deepEqual(
    [...shown].map(([series, { labels, value }]) => [series, labels, value]),
    [
      ['acts_total{kind="a"}', { trace_id: 'act' }, 1],
      ['size_bucket{kind="a",le="1"}', { trace_id: 'new', user: '7' }, 1],
      ['size_bucket{kind="a",le="10"}', { trace_id: 'alone' }, 5],
      ['size_bucket{kind="a",le="+Inf"}', { trace_id: 'above all' }, 1000],
      ['size_bucket{kind="c",le="100"}', { text: 'a "b" \\ c\n' }, 50],
    ],
  );
  for (const { timestamp = 0 } of shown.values()) {
    assert.ok(1000 * timestamp >= beganMs - 1 && 1000 * timestamp <= Date.now() + 1, String(timestamp));
  }
  const ofFirst = await read(1);
  assert.equal(ofFirst.get('size_bucket{kind="a",le="1"}')?.labels.trace_id, 'old');
  assert.equal(ofFirst.has('size_bucket{kind="a",le="+Inf"}'), false);
  assert.doesNotMatch(await registry.clusterMetrics(), / # \{/, "Prometheus' own text format has no exemplars");
});

for (const native of [false, true]) {
  test(`protobuf has the same exemplars${native ? ' in the classic buckets of a native histogram' : ''}`, async (t) => {
    const { workers, read, registry } = openCluster(t, 1, { native });
    const [{ acts, size, store }] = workers as [(typeof workers)[0]];
    acts.inc({ kind: 'a' }, 3, { trace_id: 'act' });
    for (const value of [0.25, 0.5, 10, 11, 1000]) size.observe({ kind: 'a' }, value, { trace_id: `of ${value}` });
    if (native) size.observe({ kind: 'a' }, Number.NaN, { trace_id: 'of no bucket' });
    store.rewrite();

    const page = readProtobuf(await registry.exposition({ contentType: ClusterRegistry.PROTOBUF_CONTENT_TYPE }));
    const buckets = page.get('size')?.metric[0]?.histogram?.bucket ?? [];
    const found = [page.get('acts_total')?.metric[0]?.counter, ...buckets].map((each) => each?.exemplar);
    const shown = [...(await read()).values()];
    assert.equal(shown.length, 5);
    assert.deepEqual(
      found.map((each) => each && { labels: each.label, value: each.value, ms: toMs(each.timestamp) }),
      shown.map(({ labels, value, timestamp = 0 }) => ({
        labels: Object.entries(labels).map(([name, value]) => ({ name, value })),
        value,
        ms: Math.round(1000 * timestamp),
      })),
    );
    assert.deepEqual(
      buckets.map(({ upperBound, cumulativeCount }) => [upperBound, cumulativeCount]),
      [
        [1, 2],
        [10, 3],
        [100, 4],
        [Number.POSITIVE_INFINITY, native ? 6 : 5],
      ],
    );
  });
}

test('a histogram without exemplars has no bucket +Inf in protobuf', async (t) => {
  const { workers, registry } = openCluster(t, 1);
  workers[0]?.size.observe({ kind: 'a' }, 1000);
  workers[0]?.store.flush();
  const page = readProtobuf(await registry.exposition({ contentType: ClusterRegistry.PROTOBUF_CONTENT_TYPE }));
  const buckets = page.get('size')?.metric[0]?.histogram?.bucket ?? [];
  assert.deepEqual(
    buckets.map(({ upperBound }) => upperBound),
    BUCKETS,
  );
});

test("an exemplar comes with the worker's heartbeat, and goes with the worker, whose counts stay", async (t) => {
  const { directory, read, count } = openCluster(t, 0);
  const script = fileURLToPath(new URL('support/exemplar-worker.mjs', import.meta.url));
  const worker = fork(script, [directory], { execArgv: [] });
  t.after(() => worker.kill('SIGKILL'));
  await until('it is shown', async () => (await read()).size === 1);
  worker.kill('SIGKILL');
  await once(worker, 'exit');
  assert.deepEqual([...(await read())], []);
  assert.equal(await count(), 1);
});

test('a torn exemplar is left out, in favour of an older one, until the next heartbeat', async (t) => {
  const { workers, read, count } = openCluster(t, 2);
  const [first, second] = workers as [(typeof workers)[0], (typeof workers)[0]];
  first.size.observe({ kind: 'a' }, 5, { trace_id: 'older' });
  nextMillisecond();
  second.size.observe({ kind: 'a' }, 6, { trace_id: 'newer' });
  for (const { store } of workers) store.rewrite();
  const shown = async () => (await read()).get('size_bucket{kind="a",le="10"}')?.labels.trace_id;
  assert.equal(await shown(), 'newer');

  const path = second.store.path as string;
  await until('the older one is shown', async () => {
    // Again and again, as a heartbeat may mend it before the scrape.
    const file = readFileSync(path, 'latin1');
    writeFileSync(path, file.replace('newer', 'newEr'), 'latin1');
    return (await shown()) === 'older';
  });
  assert.equal(await count(), 2);
  second.store.rewrite();
  assert.equal(await shown(), 'newer');
});

test('exemplars take room for one per bucket, however many and long they are', async (t) => {
  const { workers, read, registry } = openCluster(t, 1);
  const [{ size, store }] = workers as [(typeof workers)[0]];
  const lengths = [1, 100, 20];
  for (const length of lengths) {
    for (const value of [0.5, 5, 50]) size.observe({ kind: 'a' }, value, { id: 'x'.repeat(length) });
    store.rewrite();
    for (const { labels } of (await read()).values()) assert.equal(labels.id?.length, length);
  }
  const bytes = readFileSync(store.path as string).length;
  for (let i = 0; i < 1_000; i++) {
    size.observe({ kind: 'a' }, i % 100, { id: `${i}`.padStart(100, 'x') });
    if (i % 100 === 0) store.rewrite();
  }
  store.rewrite();
  assert.equal((await read()).size, 3);
  assert.equal(readFileSync(store.path as string).length, bytes);
  assert.match(await registry.clusterMetrics(), /^cluster_metrics_store_problems_total\{kind="torn"\} 0$/m);
});

test('a store that is half full keeps no further exemplars, and counts on', async (t) => {
  const { workers, read, count } = openCluster(t, 1, { capacity: 100 });
  const [{ size, store }] = workers as [(typeof workers)[0]];
  const kinds = ['a', 'b', 'c', 'd'];
  for (const kind of kinds) {
    size.observe({ kind }, 5, { trace_id: kind });
    store.rewrite();
  }
  const shown = [...(await read()).values()].map(({ labels }) => labels.trace_id);
  assert.ok(shown.length > 0 && shown.length < kinds.length, shown.join());
  assert.equal(await count(), kinds.length);
});

test('names and values of an exemplar have at most 128 characters together, and a count is not lost with it', async () => {
  const { acts, size } = define(new WorkerRegistry());
  const fits = { trace_id: 'x'.repeat(112), cart: '🛒🛒🛒🛒' };
  size.observe({ kind: 'a' }, 5, fits);
  const tooLong = { ...fits, y: '' };
  const refused = { name: 'RangeError', message: 'Label set size must be smaller than 128 UTF-8 chars' };
  assert.throws(() => size.observe({ kind: 'a' }, 5, tooLong), refused);
  assert.throws(() => size.labels('a').observe(5, tooLong), refused);
  assert.throws(() => acts.inc({ labels: { kind: 'a' }, exemplarLabels: tooLong }), refused);
  const buckets = (await size.get()).values as { value: number; exemplar?: { labelSet: object } }[];
  assert.deepEqual([buckets[1]?.value, buckets[1]?.exemplar?.labelSet], [3, fits]);
  assert.equal((await acts.get()).values[0]?.value, 1);
});

test('what is wrong with an exemplar is refused with what to write', async () => {
  const { acts, size } = define(new WorkerRegistry());
  for (const name of ['a-b', '1a', '', 'é']) {
    assert.throws(() => size.observe({ kind: 'a' }, 5, { [name]: 'x' }), /Invalid label name of an exemplar/);
  }
  for (const wrong of ['a', 5, null] as never[]) {
    assert.throws(() => size.observe({ kind: 'a' }, 5, wrong), /exemplarLabels must be an object, such as/);
  }
  // prom-client counts these without labels, and without a word.
  assert.throws(
    () => acts.inc({ kind: 'a' }),
    /write inc\(\{ labels, value, exemplarLabels \}\) or inc\(labels, value/,
  );
  assert.throws(() => size.observe({ kind: 'a' } as never), /write observe\(\{ labels, value, exemplarLabels \}\) or/);
  assert.throws(() => acts.inc({ labels: { sort: 'a' } as never }), /"sort" is not included in initial labelset/);
  for (const labels of [{}, { trace_id: undefined }] as object[]) acts.inc({ kind: 'none' }, 1, labels);
  assert.equal('exemplar' in ((await acts.get()).values[0] ?? {}), false);
});

test('the caller may change its labels after the call', async () => {
  const { acts } = define(new WorkerRegistry());
  const exemplarLabels = { trace_id: 'a' };
  acts.inc({ labels: { kind: 'a' }, exemplarLabels });
  exemplarLabels.trace_id = 'b';
  const [{ exemplar }] = (await acts.get()).values as unknown as [{ exemplar: { labelSet: object } }];
  assert.deepEqual(exemplar.labelSet, { trace_id: 'a' });
});

test("the page of one process has prom-client's exemplars for prom-client's calls", async () => {
  const pages = await Promise.all(
    [
      { library: { Counter, Histogram }, registry: new WorkerRegistry() },
      { library: prom, registry: new prom.Registry() },
    ].map(async ({ library, registry }) => {
      // prom-client's metrics ask for it when they are made.
      registry.setContentType(OPENMETRICS as never);
      const common = { help: 'help', enableExemplars: true, registers: [registry as WorkerRegistry] };
      const acts = new library.Counter({ ...common, name: 'acts', labelNames: ['kind'] });
      acts.inc({ labels: { kind: 'a' }, value: 2, exemplarLabels: { kind: 'x', trace_id: 'a "b"' } as never });
      acts.inc({ labels: { kind: 'b' } });
      const size = new library.Histogram({ ...common, name: 'size', buckets: BUCKETS });
      size.observe({ value: 5, exemplarLabels: { trace_id: '5' } as never });
      size.observe({ value: 7, exemplarLabels: { trace_id: '7' } as never });
      size.observe({ value: 5000, exemplarLabels: { trace_id: '5000' } as never });
      size.observe({ value: 0.5 });
      const took = new library.Histogram({ ...common, name: 'took', buckets: [1000] });
      took.startTimer({}, { trace_id: 'a' } as never)({}, { span_id: 'b' } as never);
      const page = parseExposition(await registry.metrics(), OPENMETRICS);
      const known = page.samples.filter(({ name }) => name !== 'took_sum');
      return known.map(({ series, value, exemplar }) => {
        const isTimed = series.startsWith('took');
        return { series, value, exemplar: exemplar && { ...exemplar, timestamp: 0, ...(isTimed && { value: 0 }) } };
      });
    }),
  );
  assert.deepEqual(pages[0], pages[1]);
  assert.equal(pages[0]?.filter(({ exemplar }) => exemplar !== undefined).length, 4);
});
