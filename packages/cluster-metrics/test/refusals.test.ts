import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import * as prom from 'prom-client';
import * as ours from '../src/index.ts';
import { parseExposition } from '../src/testing/index.ts';
import { loadSecondPromClient } from './support/second-prom-client.ts';

const { ClusterRegistry, createStoreDirectory, openStore, WorkerRegistry } = ours;

/** The wrong types are intended: JavaScript users have no compiler. */
type Loose = Record<'Counter' | 'Gauge' | 'Histogram' | 'Summary', new (options?: unknown) => unknown>;
const loose = ours as unknown as Loose;

function primary(t: TestContext, registers: prom.Registry[] = []) {
  const directory = createStoreDirectory({ name: 'refusals' });
  const registry = new ClusterRegistry({ directory: directory.path, registers });
  t.after(() => {
    registry.close();
    directory.remove();
  });
  return registry;
}

const common = { name: 'a', help: 'help' };

/** Options that Prometheus rejects or counts wrongly. */
const shapes: Record<string, [kind: keyof Loose, options: object, error: RegExp]> = {
  'a label twice': ['Counter', { labelNames: ['a', 'a'] }, /must differ.*\[ 'a', 'a' \]/],
  'the name of the metric as a label': ['Gauge', { labelNames: ['__name__'] }, /__name__ is a reserved label/],
  'le as a label': ['Histogram', { labelNames: ['le'] }, /^Error: le is a reserved label keyword$/],
  'quantile as a label': ['Summary', { labelNames: ['quantile'] }, /^Error: quantile is a reserved label keyword$/],
  'a label name with a hyphen': ['Counter', { labelNames: ['a-b'] }, /^Error: Invalid label name$/],
  'a label name that is no text': ['Counter', { labelNames: [null] }, /^Error: Invalid label name$/],
  'a text in the place of label names': ['Counter', { labelNames: 'abc' }, /labelNames must be an array/],
  'a percentile twice': ['Summary', { percentiles: [0.5, 0.9, 0.5] }, /from 0 to 1, each once/],
  'a percentile as a text': ['Summary', { percentiles: ['0.5'] }, /from 0 to 1, each once/],
  'a percentile that is NaN': ['Summary', { percentiles: [Number.NaN] }, /from 0 to 1, each once/],
  'an endless window': ['Summary', { maxAgeSeconds: Number.POSITIVE_INFINITY }, /must be positive and finite/],
  'a window as a text': ['Summary', { maxAgeSeconds: '300' }, /must be positive and finite/],
  'a bucket twice': ['Histogram', { buckets: [1, 2, 2] }, /ascending order, each once/],
  'buckets that descend': ['Histogram', { buckets: [2, 1] }, /ascending order/],
  'a bucket that is NaN': ['Histogram', { buckets: [1, Number.NaN] }, /ascending order/],
  'a bucket +Inf': ['Histogram', { buckets: [1, Number.POSITIVE_INFINITY] }, /leave out \+Inf, it is always there/],
  'a bucket as a text': ['Histogram', { buckets: ['1'] }, /ascending order/],
  'a number in the place of buckets': ['Histogram', { buckets: 5 }, /ascending order/],
  'an unknown aggregator': ['Gauge', { aggregator: 'mean' }, /must be one of sum, max, min, average, first, omit/],
  'a name with a hyphen': ['Counter', { name: 'a-b' }, /^Error: Invalid metric name$/],
  'a name that is no text': ['Counter', { name: ['a'] }, /^Error: Invalid metric name$/],
  'a help that is no text': ['Counter', { help: 5 }, /help must be a text/],
  'a gauge with exemplars': ['Gauge', { enableExemplars: true }, /Only counters and histograms have exemplars/],
  'a summary with exemplars': ['Summary', { enableExemplars: true }, /Only counters and histograms have exemplars/],
};

for (const [what, [kind, options, error]] of Object.entries(shapes)) {
  test(`${what} is refused when the metric is made`, async () => {
    const registry = new WorkerRegistry();
    assert.throws(() => new loose[kind]({ ...common, registers: [registry], ...options }), error);
    assert.equal(registry.getMetricsAsArray().length, 0);
  });
}

/** Pairs of metrics that share the name of a family or of a sample, in Prometheus' format or in OpenMetrics. */
const collisions: [first: [keyof Loose, string], second: [keyof Loose, string], shared: string][] = [
  [['Counter', 'hits'], ['Counter', 'hits_total'], 'hits(_total)?'],
  [['Counter', 'hits'], ['Gauge', 'hits_total'], 'hits_total'],
  [['Counter', 'hits_total'], ['Gauge', 'hits'], 'hits'],
  [['Histogram', 'lat'], ['Counter', 'lat_count'], 'lat_count'],
  [['Histogram', 'lat'], ['Counter', 'lat_count_total'], 'lat_count'],
  [['Histogram', 'lat'], ['Gauge', 'lat_bucket'], 'lat_bucket'],
  [['Histogram', 'lat'], ['Histogram', 'lat_sum'], 'lat_sum'],
  [['Summary', 'lat'], ['Gauge', 'lat_sum'], 'lat_sum'],
];

test('a metric that would share a name on the page with another one is refused', () => {
  const theirs = prom as unknown as Loose;
  for (const [first, second, shared] of collisions) {
    for (const [[kind, name], [otherKind, other]] of [
      [first, second],
      [second, first],
    ] as const) {
      for (const [library, otherLibrary] of [
        [loose, loose],
        [theirs, loose],
        [loose, theirs],
        [theirs, theirs],
      ] as const) {
        if ((library === theirs && kind === 'Summary') || (otherLibrary === theirs && otherKind === 'Summary'))
          continue;
        const registers = [new WorkerRegistry()];
        new library[kind]({ name, help: 'help', registers });
        const error = new RegExp(
          `^Error: ${other} collides with ${name}: .* shown as ${shared}\\. Give one of them another`,
        );
        assert.throws(() => new otherLibrary[otherKind]({ name: other, help: 'help', registers }), error);
        assert.deepEqual(
          registers[0]?.getMetricsAsArray().map((metric) => metric.name),
          [name],
        );
      }
    }
  }
});

test('an object with nothing but get() is registered, as in prom-client', async () => {
  const registry = new WorkerRegistry();
  registry.registerMetric({
    get: async () => ({ name: 'rooms', help: 'help', type: 'gauge', values: [{ value: 3 }] }),
  });
  assert.match(await registry.metrics(), /^rooms 3$/m);
});

test('metrics with similar names that share none on the page are accepted', async () => {
  for (const library of [loose, prom as unknown as Loose]) {
    const registry = new WorkerRegistry();
    const common = { help: 'help', registers: [registry] };
    new library.Gauge({ ...common, name: 'jobs' });
    new library.Gauge({ ...common, name: 'jobs_total' });
    new library.Gauge({ ...common, name: 'jobs_count' });
    new library.Counter({ ...common, name: 'jobs_started_total' });
    new library.Histogram({ ...common, name: 'jobs_seconds' });
    new library.Counter({ ...common, name: 'jobs_seconds_max' });
    assert.equal(registry.getMetricsAsArray().length, 6);
  }
});

test('an exemplar of a metric without exemplars is refused with what to write', () => {
  for (const labelNames of [[], ['kind'], ['value']]) {
    const options = { labelNames, help: 'help', registers: [new WorkerRegistry()] };
    const counter = new ours.Counter({ ...options, name: 'acts_total' });
    const histogram = new ours.Histogram({ ...options, name: 'size' });
    for (const data of [
      { value: 1, exemplarLabels: { trace: 'a' } },
      { labels: { kind: 'a' }, value: 1, exemplarLabels: { trace: 'a' } },
    ]) {
      assert.throws(() => counter.inc(data), /needs a metric with enableExemplars.* write inc\(labels, value\)$/);
      assert.throws(() => histogram.observe(data), /needs a metric with enable.* write observe\(labels, value\)$/);
    }
    assert.throws(
      () => counter.inc({}, 1, { trace: 'a' }),
      /acts_total has no exemplars: make it with enableExemplars/,
    );
    assert.throws(() => histogram.labels({}).observe(1, { trace: 'a' }), /size has no exemplars: make it with enable/);
  }
});

test('a label may have the name exemplarLabels', async () => {
  const options = { help: 'help', labelNames: ['exemplarLabels'], registers: [new WorkerRegistry()] };
  const counter = new ours.Counter({ ...options, name: 'acts_total' });
  counter.inc({ exemplarLabels: 'a' });
  assert.equal((await counter.get()).values[0]?.value, 1);
  const histogram = new ours.Histogram({ ...options, name: 'size' });
  assert.throws(() => histogram.observe({ exemplarLabels: 'a' } as never), /Value is not a valid number: undefined/);
});

for (const [what, registers] of Object.entries({
  none: undefined,
  null: null,
  'an empty list': [],
  "prom-client's own": [prom.register],
  'a registry without its list': new WorkerRegistry(),
  'the list of a missing one': [undefined],
})) {
  test(`a metric whose registers are ${what} is refused with advice`, () => {
    for (const kind of ['Counter', 'Gauge', 'Histogram', 'Summary'] as const) {
      assert.throws(() => new loose[kind]({ ...common, registers }), /must name a WorkerRegistry.*write registers: \[/);
    }
    assert.equal(prom.register.getSingleMetric('a'), undefined);
  });
}

test('a metric in registries of two stores is refused, and is in neither', (t) => {
  const directory = createStoreDirectory({ name: 'refusals' });
  const store = openStore({ directory: directory.path, worker: 1 });
  t.after(() => {
    store.close();
    directory.remove();
  });
  const [file, memory] = [new WorkerRegistry(store), new WorkerRegistry()];
  for (const registers of [
    [file, memory],
    [memory, file],
    [memory, new WorkerRegistry()],
  ]) {
    for (const kind of ['Counter', 'Gauge', 'Histogram', 'Summary'] as const) {
      assert.throws(() => new loose[kind]({ ...common, registers }), {
        name: 'TypeError',
        message:
          "All WorkerRegistries in registers must share one store: the values live in the first one's. Name one of them, or make both with new WorkerRegistry(store) of the same store",
      });
    }
    for (const registry of registers) assert.deepEqual(registry.getMetricsAsArray(), []);
  }
  const registers = [file, new WorkerRegistry(store), new prom.Registry()];
  const counter = new loose.Counter({ ...common, registers });
  for (const registry of registers) assert.deepEqual(registry.getMetricsAsArray(), [counter]);
});

test('a metric without options is refused as by prom-client', () => {
  for (const options of [undefined, null, 'a']) {
    const theirs = prom as unknown as Loose;
    const message = (library: Loose) => {
      try {
        return new library.Counter(options);
      } catch (error) {
        return String(error);
      }
    };
    assert.equal(message(loose), message(theirs));
    assert.throws(() => new loose.Histogram(options), /expected a config object/);
    assert.throws(() => new loose.Summary(options), /expected a config object/);
    assert.throws(() => new loose.Gauge(options), /expected a config object/);
  }
});

test('a metric in a registry of the primary is refused with advice', (t) => {
  const registry = primary(t);
  assert.throws(() => new loose.Counter({ ...common, registers: [registry] }), /new WorkerRegistry\(\) in the primary/);
});

test('a store without a place or a folder is refused with advice', () => {
  const directory = createStoreDirectory({ name: 'refusals' });
  const open = openStore as (options?: unknown) => unknown;
  try {
    for (const worker of [undefined, null, '', Number.NaN, 'undefined', 'null', '1/2', -1, 1.5, {}]) {
      assert.throws(() => open({ directory: directory.path, worker }), /worker must be this worker's place/);
    }
    for (const path of [undefined, null, '', 5, directory]) {
      assert.throws(() => open({ directory: path, worker: 1 }), /createStoreDirectory\(\)\.path/);
    }
    assert.throws(() => open(), /createStoreDirectory\(\)\.path/);
    for (const capacity of [0, -1, 1.5, Number.NaN, '5', Number.POSITIVE_INFINITY]) {
      assert.throws(() => open({ directory: directory.path, worker: 1, capacity }), /capacity must be a whole number/);
    }
    assert.deepEqual(readdirSync(directory.path), []);
    assert.equal(existsSync('undefined'), false);
  } finally {
    directory.remove();
  }
});

test('a registry without its arguments is refused with advice', () => {
  const directory = createStoreDirectory({ name: 'refusals' });
  const cluster = ClusterRegistry as unknown as new (options?: unknown) => unknown;
  const worker = WorkerRegistry as unknown as new (store?: unknown) => unknown;
  try {
    for (const options of [undefined, {}, { directory: '' }, { directory }]) {
      assert.throws(() => new cluster(options), /createStoreDirectory\(\)\.path/);
    }
    for (const registers of [null, new WorkerRegistry(), [undefined], [{}], 'a']) {
      assert.throws(() => new cluster({ directory: directory.path, registers }), /write registers: \[registry\]/);
    }
    for (const store of [null, prom.Registry.OPENMETRICS_CONTENT_TYPE, {}, new WorkerRegistry()]) {
      assert.throws(() => new worker(store), /new WorkerRegistry\(openStore\(.*, not of .{1,80}$/);
    }
  } finally {
    directory.remove();
  }
});

for (const [copy, library] of Object.entries({ 'this copy': prom, 'another copy': loadSecondPromClient() })) {
  test(`a summary of ${copy} of prom-client is refused by both registries`, async (t) => {
    const [worker, plain] = [new WorkerRegistry(), new library.Registry()];
    const cluster = primary(t, [worker]);
    const summary = (registry: unknown) =>
      new library.Summary({ name: 'a_seconds', help: 'help', registers: [registry as prom.Registry] });
    assert.throws(() => summary(worker), /can't be merged: make a_seconds with ours/);
    assert.throws(() => summary(cluster), /can't be merged: make a_seconds with ours/);
    summary(plain);
    assert.throws(() => primary(t, [plain as prom.Registry]), /can't be merged: make a_seconds with ours/);
    assert.ok(!(await cluster.clusterMetrics()).includes('a_seconds'));
  });

  test(`a summary of ${copy} of prom-client that is added later is left out with a warning`, async (t) => {
    const plain = new library.Registry();
    const cluster = primary(t, [plain as prom.Registry]);
    new library.Summary({ name: 'late_seconds', help: 'help', registers: [plain] }).observe(1);
    new library.Counter({ name: 'acts_total', help: 'help', registers: [plain] }).inc(3);
    const [[warning], text] = await Promise.all([once(process, 'warning'), cluster.clusterMetrics()]);
    assert.match(warning.message, /late_seconds/);
    assert.ok(!text.includes('late_seconds'));
    assert.equal(parseExposition(text).of('acts_total'), 3);
  });

  test(`the other metrics of ${copy} of prom-client are merged`, async (t) => {
    const [worker, plain] = [new WorkerRegistry(), new library.Registry()];
    const cluster = primary(t, [worker, plain as prom.Registry]);
    for (const [prefix, registry] of [
      ['a', worker],
      ['b', plain],
      ['c', cluster],
    ] as const) {
      const registers = [registry as prom.Registry];
      new library.Counter({ name: `${prefix}_total`, help: 'help', labelNames: ['x'], registers }).inc({ x: 1 }, 2);
      new library.Gauge({ name: `${prefix}_depth`, help: 'help', aggregator: 'max', registers }).set(3);
      const buckets = [1, Number.POSITIVE_INFINITY];
      const histogram = new library.Histogram({ name: `${prefix}_bytes`, help: 'help', buckets, registers });
      for (const value of [0.5, 5, 7]) histogram.observe(value);
    }
    const samples = parseExposition(await cluster.clusterMetrics());
    for (const prefix of ['a', 'b', 'c']) {
      assert.equal(samples.of(`${prefix}_total{x="1"}`), 2);
      assert.equal(samples.of(`${prefix}_depth`), 3);
      assert.equal(samples.of(`${prefix}_bytes_bucket{le="1"}`), 1);
      assert.equal(samples.of(`${prefix}_bytes_bucket{le="+Inf"}`), 3, 'with +Inf among its buckets');
      assert.equal(samples.of(`${prefix}_bytes_sum`), 12.5);
    }
  });

  test(`a metric of ${copy} of prom-client that Prometheus would reject is refused`, async (t) => {
    const worker = new WorkerRegistry();
    const theirs = library as unknown as Loose;
    for (const [what, [kind, options, error]] of Object.entries(shapes)) {
      if (!/twice|name of the metric|descend|NaN|aggregator/.test(what) || kind === 'Summary') continue;
      const plain = new library.Registry();
      assert.throws(() => new theirs[kind]({ ...common, ...options, registers: [worker] }), error, what);
      new theirs[kind]({ ...common, ...options, registers: [plain] });
      assert.throws(() => primary(t, [plain as prom.Registry]), error, what);
    }
    assert.equal(worker.getMetricsAsArray().length, 0);
  });
}

test('default labels that Prometheus would reject leave out their metric, not the page', async (t) => {
  const plain = new prom.Registry();
  plain.setDefaultLabels({ 'a-b': 1 });
  new prom.Counter({ name: 'acts_total', help: 'help', registers: [plain] });
  const worker = new WorkerRegistry();
  new ours.Counter({ name: 'whole_total', help: 'help', registers: [worker] }).inc();
  const cluster = primary(t, [plain, worker]);
  const [[warning], text] = await Promise.all([once(process, 'warning'), cluster.clusterMetrics()]);
  assert.match(warning.message, /Invalid label name/);
  assert.ok(!text.includes('acts_total'));
  assert.equal(parseExposition(text).of('whole_total'), 1);
});

const anyName = fc.oneof(
  fc.constantFrom('a', 'b', 'le', 'quantile', '__name__', '__proto__', 'constructor', 'a-b', '', '1a', 'ä'),
  fc.string({ maxLength: 5 }),
);
const anyNumber = fc.oneof(fc.double(), fc.constantFrom(0, 1, 2, 0.5, Number.NaN, Number.POSITIVE_INFINITY, -0));
const anyOptions = fc.record(
  {
    name: anyName,
    help: fc.string({ minLength: 1, unit: 'binary' }),
    labelNames: fc.array(anyName, { maxLength: 4 }),
    buckets: fc.array(anyNumber, { maxLength: 4 }),
    percentiles: fc.array(anyNumber, { maxLength: 4 }),
    maxAgeSeconds: anyNumber,
    aggregator: fc.constantFrom('sum', 'max', 'mean', ''),
  },
  { requiredKeys: ['name', 'help'] },
);

test('any options make a metric that Prometheus can read or are refused', async (t) => {
  const kinds = fc.constantFrom('Counter', 'Gauge', 'Histogram', 'Summary') as fc.Arbitrary<keyof Loose>;
  const libraries = fc.constantFrom(loose, prom as unknown as Loose);
  await fc.assert(
    fc.asyncProperty(
      kinds,
      libraries,
      anyOptions,
      fc.string({ unit: 'binary' }),
      async (kind, library, options, value) => {
        const worker = new WorkerRegistry();
        try {
          new library[kind]({ ...options, registers: [worker] });
        } catch {
          assert.equal(worker.getMetricsAsArray().length, 0, 'what is refused is not registered');
          return;
        }
        const cluster = primary(t, [worker]);
        const [metric] = worker.getMetricsAsArray() as unknown as prom.Gauge[];
        const labels = Object.fromEntries((options.labelNames ?? []).map((name) => [name, value]));
        if (kind === 'Counter') metric?.inc(labels);
        else if (kind === 'Gauge') metric?.set(labels, 1);
        else (metric as unknown as prom.Histogram).observe(labels, 1);
        parseExposition(await cluster.clusterMetrics());
        cluster.close();
      },
    ),
    { numRuns: 300 },
  );
});
