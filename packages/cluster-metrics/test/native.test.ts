import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import {
  ClusterRegistry,
  createStoreDirectory,
  Histogram,
  type HistogramConfiguration,
  type NativeHistogram,
  openStore,
  type SamplesOptions,
  Summary,
  WorkerRegistry,
} from '../src/index.ts';
import { parseExposition } from '../src/testing/index.ts';
import { type Histogram as Message, readBuckets, readProtobuf } from './support/protobuf.ts';

const BUCKETS = [-2, -0.3, 0, 0.001, 0.1, 0.1005, 1, 8, 1e9];
const FINEST = 6;
const BUDGET = 160;
const ZERO_THRESHOLD = 2 ** -128;

type Closing = Pick<TestContext, 'after'>;

/** Stores of this process with a native histogram `size` each, and a summary `took` with the twin `took_histogram`. */
function openNative(t: Closing, count: number, native: HistogramConfiguration<string>['native'] = true) {
  const directory = createStoreDirectory({ name: 'native' });
  const registry = new ClusterRegistry({ directory: directory.path });
  const stores: ReturnType<typeof openStore>[] = [];
  const openLife = (worker: number) => {
    const store = openStore({ directory: directory.path, worker });
    stores.push(store);
    const registers = [new WorkerRegistry(store)];
    return {
      store,
      histogram: new Histogram({ name: 'size', help: 'help', buckets: BUCKETS, native: native ?? true, registers }),
      summary: new Summary({ name: 'took', help: 'help', nativeHistogram: 'took_histogram', registers }),
    };
  };
  const workers = Array.from({ length: count }, (_, i) => openLife(i + 1));
  t.after(() => {
    for (const store of stores) store.close();
    registry.close();
    directory.remove();
  });
  const flush = () => {
    for (const store of stores) store.flush();
  };
  return {
    workers,
    openLife,
    async scrape(worker?: number) {
      flush();
      return readProtobuf(await registry.exposition({ contentType: ClusterRegistry.PROTOBUF_CONTENT_TYPE, worker }));
    },
    async read() {
      flush();
      return parseExposition(await registry.clusterMetrics());
    },
    async histograms(options?: SamplesOptions) {
      flush();
      return registry.nativeHistograms(options);
    },
  };
}

type Scraped = Awaited<ReturnType<ReturnType<typeof openNative>['scrape']>>;

function histogramOf(families: Scraped, name: string): Message {
  const family = families.get(name);
  assert.equal(family?.type, 'HISTOGRAM', name);
  assert.equal(family.metric.length, 1);
  return family.metric[0]?.histogram as Message;
}

/**
 * Bucket of a magnitude, by its logarithm as the specification has it. `null` too near to a bound for a logarithm, which is
 * rounded.
 */
function indexOf(magnitude: number, schema: number): number | null {
  if (magnitude === Number.POSITIVE_INFINITY) return 2 ** (10 + schema) + 1;
  const place = Math.log2(magnitude) * 2 ** schema;
  const isPowerOfTwo = Number.isInteger(Math.log2(magnitude)) && 2 ** Math.log2(magnitude) === magnitude;
  return !isPowerOfTwo && Math.abs(place - Math.round(place)) < 1e-9 ? null : Math.ceil(place);
}

/** What client_golang's rules make of these observations. */
function expectedOf(values: readonly number[], schema: number) {
  const expected = { positive: new Map<number, number>(), negative: new Map<number, number>(), zeros: 0 };
  for (const value of values) {
    if (Number.isNaN(value)) continue;
    if (Math.abs(value) <= ZERO_THRESHOLD) {
      expected.zeros++;
      continue;
    }
    const buckets = value > 0 ? expected.positive : expected.negative;
    const index = indexOf(Math.abs(value), schema) as number;
    buckets.set(index, (buckets.get(index) ?? 0) + 1);
  }
  return expected;
}

function populated(buckets: Map<number, number>): Map<number, number> {
  return new Map([...buckets].filter(([, count]) => count > 0));
}

function sorted(buckets: Map<number, number>): [number, number][] {
  return [...buckets].sort(([a], [b]) => a - b);
}

function assertNative(message: Message, values: readonly number[], budget = BUDGET, finest = FINEST): void {
  const schema = message.schema as number;
  const positive = readBuckets(message.positiveSpan, message.positiveDelta);
  const negative = readBuckets(message.negativeSpan, message.negativeDelta);
  const expected = expectedOf(values, schema);
  assert.deepEqual(sorted(populated(positive)), sorted(expected.positive));
  assert.deepEqual(sorted(populated(negative)), sorted(expected.negative));
  assert.equal(message.zeroCount, expected.zeros);
  assert.equal(message.zeroThreshold, ZERO_THRESHOLD);
  assert.equal(message.sampleCount, values.length);
  const size = (at: number) => expectedOf(values, at).positive.size + expectedOf(values, at).negative.size;
  assert.ok(size(schema) <= budget || schema === -4, `${size(schema)} populated buckets at schema ${schema}`);
  assert.ok(schema === finest || size(schema + 1) > budget, `schema ${schema} where ${schema + 1} fits`);
  for (const spans of [message.positiveSpan ?? [], message.negativeSpan ?? []]) {
    for (const { offset } of spans.slice(1)) assert.ok(offset > 2, 'a gap of one or two is cheaper than a span');
  }
  const isEmpty = expected.zeros + expected.positive.size + expected.negative.size === 0;
  if (isEmpty) assert.deepEqual(message.positiveSpan, [{ offset: 0, length: 0 }]);
}

/** What `nativeHistograms` gives of these observations, but for their sum, which is rounded. */
function listOf(values: readonly number[]): Omit<NativeHistogram, 'name' | 'sum'> {
  const { positive, negative, zeros } = expectedOf(values, FINEST);
  const list = (buckets: Map<number, number>) => ({
    indexes: Int32Array.from(sorted(buckets), ([index]) => index),
    counts: Float64Array.from(sorted(buckets), ([, count]) => count),
  });
  return {
    labels: {},
    schema: FINEST,
    zeroThreshold: ZERO_THRESHOLD,
    zeroCount: zeros,
    count: values.length,
    positive: list(positive),
    negative: list(negative),
  };
}

function listed(histogram: NativeHistogram | undefined): Omit<NativeHistogram, 'sum'> {
  assert.ok(histogram);
  const { sum, ...rest } = histogram;
  return rest;
}

/** One below, on or above a bound, and everything else that a float64 can be. */
const value = fc.oneof(
  fc.double(),
  fc.double({ min: -10, max: 10, noNaN: true }),
  fc.constantFrom(...BUCKETS, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, -0, 5e-324, 1e-40),
  fc.constantFrom(...BUCKETS).map((bound) => bound * (1 + 2 ** -20)),
  fc.constantFrom(...BUCKETS).map((bound) => bound * (1 - 2 ** -20)),
  fc.tuple(fc.integer({ min: -1074, max: 1023 }), fc.boolean()).map(([power, minus]) => (minus ? -1 : 1) * 2 ** power),
);
const isClear = (each: number) => Number.isNaN(each) || each === 0 || indexOf(Math.abs(each), FINEST) !== null;

test('native and classic buckets of any observations, in any workers and with any deaths, are exact in protobuf and text', async () => {
  const observed = fc.record({ at: fc.nat(), value: value.filter(isClear), dies: fc.nat(9).map((n) => n === 0) });
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 3 }), fc.array(observed, { maxLength: 200 }), async (count, all) => {
      const closing: (() => void)[] = [];
      const native = openNative({ after: (close) => closing.push(close as () => void) }, count);
      try {
        const finite: number[] = [];
        for (const { at, value, dies } of all) {
          const place = at % count;
          native.workers[place]?.histogram.observe(value);
          if (Number.isFinite(value)) {
            native.workers[place]?.summary.observe(value);
            finite.push(value);
          }
          if (!dies) continue;
          native.workers[place]?.store.close();
          native.workers[place] = native.openLife(place + 1);
        }
        const values = all.map(({ value }) => value);
        const families = await native.scrape();
        const message = histogramOf(families, 'size');
        assertNative(message, values);
        assertNative(histogramOf(families, 'took_histogram'), finite);
        const [size, took] = await native.histograms();
        assert.deepEqual(listed(size), { ...listOf(values), name: 'size' });
        assert.deepEqual(listed(took), { ...listOf(finite), name: 'took_histogram' });
        const text = await native.read();
        for (const [i, bound] of BUCKETS.entries()) {
          const below = values.filter((each) => each <= bound).length;
          assert.deepEqual(message.bucket?.[i], { cumulativeCount: below, upperBound: bound });
          assert.equal(text.of(`size_bucket{le="${bound}"}`), below, `le="${bound}"`);
        }
        assert.equal(text.of('size_count'), values.length);
        assert.equal(text.of('size_bucket{le="+Inf"}'), values.length);
        assert.equal(text.of('took_count'), finite.length);
        assert.equal(Object.is(message.sampleSum, text.of('size_sum')), true);
      } finally {
        for (const close of closing) close();
      }
    }),
    { numRuns: 60 },
  );
});

test('a native histogram without observations is told from a classic one', async (t) => {
  const { scrape } = openNative(t, 1);
  const message = histogramOf(await scrape(), 'size');
  assertNative(message, []);
  assert.equal(message.schema, FINEST);
});

test('a span and a delta is all that observations of one size need', async (t) => {
  const { workers, scrape } = openNative(t, 3);
  for (const { histogram } of workers) for (let i = 0; i < 1000; i++) histogram.observe(0.5);
  const { positiveSpan, positiveDelta, negativeSpan } = histogramOf(await scrape(), 'size');
  assert.deepEqual(positiveSpan, [{ offset: -64, length: 1 }]);
  assert.deepEqual(positiveDelta, [3000]);
  assert.equal(negativeSpan, undefined);
});

test('the schema is lowered where a budget of buckets asks for it, loses nothing, and is not raised again', async (t) => {
  const { workers, scrape } = openNative(t, 2, { maxBuckets: 20 });
  const values: number[] = [];
  const schemas: number[] = [];
  for (let step = 0; step < 40; step++) {
    const next = 1.07 ** step;
    values.push(next);
    workers[step % 2]?.histogram.observe(next);
    const message = histogramOf(await scrape(), 'size');
    assertNative(message, values, 20);
    schemas.push(message.schema as number);
  }
  assert.deepEqual(
    schemas,
    schemas.toSorted((a, b) => b - a),
  );
  assert.ok(schemas[0] === FINEST && (schemas.at(-1) as number) < FINEST - 1, schemas.join());
  const { schema } = histogramOf(await scrape(1), 'size');
  assert.ok((schema as number) >= (schemas.at(-1) as number), 'one worker alone needs fewer');
});

test('a worker with a larger budget does not raise the schema that the page has shown', async (t) => {
  const directory = createStoreDirectory({ name: 'native' });
  const registry = new ClusterRegistry({ directory: directory.path });
  const openLife = (maxBuckets: number) => {
    const store = openStore({ directory: directory.path, worker: 1 });
    const registers = [new WorkerRegistry(store)];
    return { store, histogram: new Histogram({ name: 'size', help: 'help', native: { maxBuckets }, registers }) };
  };
  const schemaOf = async () =>
    histogramOf(readProtobuf(await registry.exposition({ contentType: ClusterRegistry.PROTOBUF_CONTENT_TYPE })), 'size')
      .schema;
  const first = openLife(2);
  for (let i = 1; i < 10; i++) first.histogram.observe(i);
  first.store.close();
  const lowered = await schemaOf();
  const second = openLife(160);
  t.after(() => {
    second.store.close();
    registry.close();
    directory.remove();
  });
  second.histogram.observe(1);
  second.store.flush();
  assert.ok((lowered as number) < FINEST);
  assert.equal(await schemaOf(), lowered);
});

for (const [bucketFactor, schema] of [
  [1.0109, 6],
  [1.001, 6],
  [1.022, 5],
  [1.1, 3],
  [2, 0],
  [3, 0],
  [4, -1],
  [1e6, -4],
] as const) {
  test(`a factor of ${bucketFactor} from bucket to bucket is schema ${schema}`, async (t) => {
    const { workers, scrape } = openNative(t, 1, { bucketFactor });
    const values = [0.3, 1, 1.01, 17, -5, 0];
    for (const each of values) workers[0]?.histogram.observe(each);
    const message = histogramOf(await scrape(), 'size');
    assert.equal(message.schema, schema);
    assertNative(message, values, BUDGET, schema);
  });
}

test('observations up to the zero threshold are in the zero bucket, others are not', async (t) => {
  const { workers, scrape } = openNative(t, 1, { zeroThreshold: 0.125 });
  for (const each of [0.125, -0.125, 0.1, 0, 0.1251, -2]) workers[0]?.histogram.observe(each);
  const { zeroThreshold, zeroCount, sampleCount, positiveDelta, negativeDelta } = histogramOf(await scrape(), 'size');
  assert.deepEqual({ zeroThreshold, zeroCount, sampleCount }, { zeroThreshold: 0.125, zeroCount: 4, sampleCount: 6 });
  assert.deepEqual({ positiveDelta, negativeDelta }, { positiveDelta: [1], negativeDelta: [1] });
});

test('a histogram that is not native refuses NaN and the infinities, a native one counts them', async (t) => {
  const { workers, read } = openNative(t, 1);
  const classic = new Histogram({ name: 'classic', help: 'help', registers: [new WorkerRegistry()] });
  for (const each of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
    assert.throws(() => classic.observe(each), TypeError);
    workers[0]?.histogram.observe(each);
  }
  assert.throws(() => workers[0]?.histogram.observe('1' as never), TypeError);
  const page = await read();
  assert.equal(page.of('size_count'), 3);
  assert.equal(page.of('size_bucket{le="-2"}'), 1);
  assert.equal(page.of('size_bucket{le="1000000000"}'), 1);
  assert.deepEqual(
    (await workers[0]?.histogram.get())?.values.slice(-2).map(({ value }) => value),
    [Number.NaN, 3],
    'in the process itself too',
  );
});

test('text has no native histogram: neither buckets nor the twin of a summary', async (t) => {
  const { workers, read } = openNative(t, 1);
  workers[0]?.summary.observe(1);
  const page = await read();
  assert.doesNotMatch(page.text, /took_histogram|schema/);
  assert.equal(page.of('took_count'), 1);
});

test('a metric that becomes native begins anew when no worker has its former shape', async (t) => {
  const directory = createStoreDirectory({ name: 'native' });
  const problems: string[] = [];
  const registry = new ClusterRegistry({
    directory: directory.path,
    onProblem: ({ message }) => problems.push(message),
  });
  const open = (native: boolean) => {
    const store = openStore({ directory: directory.path, worker: native ? 2 : 1 });
    const histogram = new Histogram({ name: 'size', help: 'help', native, registers: [new WorkerRegistry(store)] });
    t.after(() => store.close());
    return { store, histogram };
  };
  t.after(() => registry.close());
  t.after(() => directory.remove());
  const count = async () => parseExposition(await registry.clusterMetrics()).of('size_count');
  const before = open(false);
  for (let i = 0; i < 3; i++) before.histogram.observe(1);
  before.store.flush();
  assert.equal(await count(), 3);
  const after = open(true);
  after.histogram.observe(1);
  after.store.flush();
  assert.equal(await count(), 3, 'the former shape is shown while a worker has it');
  assert.deepEqual(problems, [
    'size has not the same native buckets in all workers: the former is shown until none of them has it',
  ]);
  before.store.close();
  await count();
  assert.equal(await count(), 1);
});

for (const [what, make, message] of [
  [
    'an unknown option',
    { native: { buckets: 3 } },
    /^native takes the numbers bucketFactor, maxBuckets, zeroThreshold/,
  ],
  ['a text', { native: 'yes' }, /^native must be true, false or an object of options/],
  ['a factor of 1', { native: { bucketFactor: 1 } }, /^bucketFactor must be above 1/],
  ['half a bucket', { native: { maxBuckets: 0.5 } }, /^maxBuckets must be a whole number/],
  ['a crooked threshold', { native: { zeroThreshold: 0.3 } }, /^zeroThreshold must be 0 or a power of two/],
] as const) {
  test(`a native histogram with ${what} is refused`, () => {
    const options = { name: 'size', help: 'help', registers: [new WorkerRegistry()], ...make };
    assert.throws(() => new Histogram(options as never), { name: 'TypeError', message });
  });
}

test('a twin needs a name that no other metric has', () => {
  const registers = [new WorkerRegistry()];
  const twin = (nativeHistogram: unknown, labelNames: string[] = []) =>
    new Summary({ name: 'took', help: 'help', labelNames, nativeHistogram: nativeHistogram as string, registers });
  assert.throws(() => twin('took'), /^TypeError: nativeHistogram must be another metric name/);
  assert.throws(() => twin('no name'), /^TypeError: nativeHistogram must be another metric name/);
  assert.throws(() => twin(7), /^TypeError: nativeHistogram must be another metric name/);
  assert.throws(() => twin({ name: 'twin', maxBuckets: 0 }), /^TypeError: maxBuckets/);
  assert.throws(() => twin('twin', ['le']), /le is a reserved label keyword/);
  new Histogram({ name: 'size', help: 'help', registers });
  assert.throws(() => twin('size'), /already|size/);
  twin('twin');
  assert.throws(() => new Histogram({ name: 'twin', help: 'help', registers }), /twin/);
});

test('native histograms are read without protobuf: by name, of one worker alone, and in full where the page merges', async (t) => {
  const { workers, scrape, histograms } = openNative(t, 2, { maxBuckets: 2 });
  for (const [i, { histogram, summary }] of workers.entries()) {
    for (const size of [1, 2, 4, 8]) histogram.observe(size * 2 ** i);
    summary.observe(0.5);
  }
  const message = histogramOf(await scrape(), 'size');
  assert.ok((message.schema as number) < FINEST);
  const [size, ...others] = await histograms({ names: ['size', 'took', 'no_such'] });
  assert.deepEqual(others, []);
  assert.ok(size);
  assert.deepEqual([...size.positive.indexes], [0, 64, 128, 192, 256]);
  assert.deepEqual([...size.positive.counts], [1, 2, 2, 2, 1]);
  assert.deepEqual([size.schema, size.count, size.sum], [FINEST, 8, 45]);
  const [twin] = await histograms({ names: ['took_histogram'], worker: 2 });
  assert.deepEqual(twin?.positive, { indexes: Int32Array.of(-64), counts: Float64Array.of(1) });
  const [again] = await histograms({ names: ['size'] });
  assert.equal(again?.labels, size.labels);
  assert.ok(Object.isFrozen(size.labels));
  assert.equal(histogramOf(await scrape(), 'size').schema, message.schema, 'the page is as it was');
  await assert.rejects(histograms({ worker: 3 }), RangeError);
});

test('a histogram without native buckets is not among the native histograms, one without observations is', async (t) => {
  const registry = new WorkerRegistry();
  const registers = [registry];
  new Histogram({ name: 'classic', help: 'help', registers }).observe(1);
  new Histogram({ name: 'idle', help: 'help', native: true, registers });
  const directory = createStoreDirectory({ name: 'native' });
  const cluster = new ClusterRegistry({ directory: directory.path, registers });
  t.after(() => {
    cluster.close();
    directory.remove();
  });
  const names = ['classic', 'idle'];
  const found = await cluster.nativeHistograms({ names });
  assert.deepEqual(
    found.map(({ name, count, positive }) => [name, count, positive.indexes.length]),
    [['idle', 0, 0]],
  );
});
