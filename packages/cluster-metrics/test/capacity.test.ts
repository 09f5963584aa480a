import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import {
  ClusterRegistry,
  Counter,
  createStoreDirectory,
  Gauge,
  Histogram,
  openStore,
  Summary,
  WorkerRegistry,
} from '../src/index.ts';
import { parseExposition } from '../src/testing/index.ts';

/** A worker's store of this capacity, and its primary. */
function openFull(t: Pick<TestContext, 'after'>, capacity: number) {
  const directory = createStoreDirectory({ name: 'capacity' });
  const problems: string[] = [];
  const store = openStore({
    directory: directory.path,
    worker: 1,
    capacity,
    onProblem: ({ message }) => problems.push(message),
  });
  const primary = new ClusterRegistry({ directory: directory.path });
  const close = () => {
    store.close();
    primary.close();
    directory.remove();
  };
  t.after(close);
  return {
    common: { help: 'help', registers: [new WorkerRegistry(store)] },
    problems,
    scrape: async () => {
      store.flush();
      return parseExposition(await primary.clusterMetrics());
    },
  };
}

const UNWRITABLE = 'cluster_metrics_store_problems_total{kind="unwritable"}';

test('sum and count of two summaries with room for one agree, and the other is reported with the capacity to set', async (t) => {
  const { common, problems, scrape } = openFull(t, 70);
  const [first, second] = ['a_seconds', 'b_seconds'].map((name) => new Summary({ ...common, name }));
  for (let i = 0; i < 3; i++) {
    first?.observe(1000);
    second?.observe(1000);
  }
  first?.observe(1);
  first?.observe(0);
  const samples = await scrape();
  assert.equal(samples.of('a_seconds_sum'), 3000);
  assert.equal(samples.of('a_seconds_count'), 4);
  assert.equal(samples.of('b_seconds_sum'), 0);
  assert.equal(samples.of('b_seconds_count'), 0);
  assert.deepEqual(
    problems,
    ['b_seconds', 'a_seconds'].map(
      (name) =>
        `The store is full: ${name} leaves out observations, in sum and count alike; openStore has a capacity of 70 values, give it 256 or more`,
    ),
  );
  assert.equal(samples.of(UNWRITABLE), 1);
  assert.deepEqual(
    (await first?.get())?.values.slice(-2).map(({ value }) => value),
    [3000, 4],
    'in the process itself as well',
  );
});

test('a smaller metric is stored after one that did not fit', async (t) => {
  const { common, problems, scrape } = openFull(t, 16);
  const histogram = new Histogram({ ...common, name: 'size_bytes', labelNames: ['n'] });
  for (const n of [1, 2]) histogram.observe({ n }, 7);
  new Counter({ ...common, name: 'acts_total' }).inc();
  new Gauge({ ...common, name: 'depth' }).set(5);
  const samples = await scrape();
  assert.equal(samples.of('size_bytes_count{n="1"}'), 1);
  assert.equal(samples.has('size_bytes_count{n="2"}'), false);
  assert.equal(samples.of('acts_total'), 1);
  assert.equal(samples.of('depth'), 5);
  assert.equal(problems.length, 1);
  assert.equal((await histogram.get()).values.length, 28, 'in memory it is whole');
});

test('histograms without room are reported once, and all others are whole', async (t) => {
  const capacity = 100_000;
  const { common, problems, scrape } = openFull(t, capacity);
  const histogram = new Histogram({ ...common, name: 'size_bytes', labelNames: ['n'] });
  for (let n = 0; n < 10_000; n++) histogram.observe({ n }, 3);
  const { samples, of } = await scrape();
  const values = new Map(samples.map(({ series, value }) => [series, value]));
  let shown = 0;
  for (const [head, value] of values) {
    if (!head.startsWith('size_bytes_count{')) continue;
    shown++;
    assert.ok(value === 1 && values.get(head.replace('_count', '_sum')) === 3, head);
  }
  assert.equal(shown, Math.floor(capacity / 13));
  assert.deepEqual(problems, [
    'The store is full: size_bytes has a series in memory only; openStore has a capacity of 100000 values, give it 131072 or more',
  ]);
  assert.equal(of(UNWRITABLE), 1);
});

test('sum, count and buckets of any metrics agree in a store of any capacity', async () => {
  const observation = fc.record({
    metric: fc.constantFrom('summary', 'histogram', 'counter'),
    label: fc.nat(5),
    exponent: fc.nat(12),
  });
  const run = fc.tuple(fc.integer({ min: 1, max: 500 }), fc.array(observation, { maxLength: 60 }));
  await fc.assert(
    fc.asyncProperty(run, async ([capacity, observations]) => {
      const closing: (() => void)[] = [];
      const { common, scrape } = openFull({ after: (close) => closing.push(close as () => void) }, capacity);
      const labelled = { ...common, labelNames: ['label'] };
      const summary = new Summary({ ...labelled, name: 'took_seconds' });
      const histogram = new Histogram({ ...labelled, name: 'size_bytes', buckets: [1, 1e3, 1e6] });
      const counter = new Counter({ ...labelled, name: 'acts_total' });
      try {
        for (const { metric, label, exponent } of observations) {
          if (metric === 'summary') summary.observe({ label }, 16 ** exponent);
          if (metric === 'histogram') histogram.observe({ label }, 16 ** exponent);
          if (metric === 'counter') counter.inc({ label });
        }
        const { samples } = await scrape();
        const values = new Map(samples.map(({ series, value }) => [series, value]));
        for (const [head, count] of values) {
          const [, name, labels] = /^(took_seconds|size_bytes)_count(.*)$/.exec(head) ?? [];
          if (name === undefined) continue;
          // Its hexadecimal digits give the number of observations of each size: at most 60 of one, mostly few.
          const sum = BigInt(values.get(`${name}_sum${labels}`) as number);
          const least = [...sum.toString(16)].reduce((digits, digit) => digits + Number.parseInt(digit, 16), 0);
          assert.equal((count - least) % 15, 0, `${head} ${count}, sum ${sum}`);
          assert.ok(count >= least);
          assert.equal(count === 0, sum === 0n);
        }
      } finally {
        for (const close of closing) close();
      }
    }),
    { numRuns: 60 },
  );
});
