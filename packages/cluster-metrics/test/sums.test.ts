import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import * as prom from 'prom-client';
import { Counter, Gauge, Histogram, WorkerRegistry } from '../src/index.ts';
import { openCluster, openWorker } from './support/stores.ts';

const double = fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e200, max: 1e200 });

/** A float64 as a whole multiple of 2^-1074, the smallest float64. */
function exact(value: number): bigint {
  const [bits = 0n] = new BigUint64Array(new Float64Array([Math.abs(value)]).buffer);
  const exponent = bits >> 52n;
  const fraction = bits & ((1n << 52n) - 1n);
  const magnitude = exponent === 0n ? fraction : ((1n << 52n) | fraction) << (exponent - 1n);
  return value < 0 ? -magnitude : magnitude;
}

test('observations of very different size by several workers are summed without loss', async (t) => {
  const { workers, scrape } = openCluster(t, 3);
  const [large, small] = workers.map(({ histogram }) => histogram.labels('/'));
  large?.observe(1e17);
  for (let i = 0; i < 1008; i++) {
    small?.observe(1);
    workers[1]?.store.flush();
    if (i % 10 === 0) await scrape();
  }
  assert.equal((await scrape()).of('size_bytes_sum{route="/"}'), 1e17 + 1008);
  large?.observe(-1e17);
  assert.equal((await scrape()).of('size_bytes_sum{route="/"}'), 1008);
});

test('observations of very different size by one worker are summed without loss', async (t) => {
  const { workers, scrape } = openCluster(t, 1);
  const [worker] = workers;
  for (const value of [1e17, ...new Array(1008).fill(1), 1e-3]) {
    worker?.histogram.observe({ route: '/' }, value);
    worker?.summary.observe(value);
  }
  const before = await scrape();
  assert.equal(before.of('size_bytes_sum{route="/"}'), 1e17 + 1008);
  assert.equal(before.of('took_seconds_sum'), 1e17 + 1008);
  worker?.histogram.observe({ route: '/' }, -1e17);
  worker?.summary.observe(-1e17);
  const after = await scrape();
  assert.equal(after.of('size_bytes_sum{route="/"}'), 1008.001);
  assert.equal(after.of('took_seconds_sum'), 1008.001);
});

test('the sum of any observations that are not negative never decreases and is within a billionth of the true sum', async (t) => {
  const { workers, scrape } = openCluster(t, 3);
  const observations = fc.array(
    fc.record({
      worker: fc.nat(2),
      value: fc.oneof(fc.double({ min: 0, max: 1e200, noNaN: true }), fc.constantFrom(1e16, 1, 1 / 3, 5e-324)),
    }),
    { maxLength: 40 },
  );
  let route = 0;
  await fc.assert(
    fc.asyncProperty(observations, async (all) => {
      route++;
      let shown = 0;
      let total = 0n;
      for (const { worker, value } of all) {
        workers[worker]?.histogram.observe({ route }, value);
        workers[worker]?.store.flush();
        total += exact(value);
        const next = (await scrape()).of(`size_bytes_sum{route="${route}"}`);
        assert.ok(next >= shown, `${shown}, then ${next}`);
        shown = next;
        const off = exact(shown) - total;
        assert.ok((off < 0n ? -off : off) * 1_000_000_000n <= total, `${shown} is off by 2^-1074 * ${off}`);
      }
    }),
    { numRuns: 20 },
  );
});

test('the sum of any observations of one process is the float64 nearest to the true sum, or its neighbour', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.oneof(double, fc.constantFrom(1e16, -1e16, 1, 1 / 3))), async (values) => {
      const histogram = new Histogram({ name: 'a', help: 'help', registers: [new WorkerRegistry()] });
      for (const value of values) histogram.observe(value);
      const sum = (await histogram.get()).values.find(({ metricName }) => metricName === 'a_sum')?.value as number;
      const off = exact(sum) - values.reduce((total, value) => total + exact(value), 0n);
      const magnitude = values.reduce((total, value) => total + exact(Math.abs(value)), 0n);
      // Half of the sum's last bit, and 2^-100 of all that was added and subtracted.
      const bound = (exact(Math.abs(sum)) >> 52n) + (magnitude >> 100n) + 1n;
      assert.ok((off < 0n ? -off : off) <= bound, `${sum} of ${values}`);
    }),
    { numRuns: 300 },
  );
});

test('the total of fractions by one process is the float64 nearest to the true total', async () => {
  const price = 259.9;
  for (const increments of [10, 200_000]) {
    const counter = new Counter({ name: 'a_total', help: 'help', registers: [new WorkerRegistry()] });
    for (let i = 0; i < increments; i++) counter.inc(price);
    const [total] = (await counter.get()).values.map(({ value }) => value);
    // The float64 of a price is not the price itself: 200,000 times its error is 0.000000005.
    assert.equal(total?.toFixed(7), (price * increments).toFixed(7));
    const off = exact(total as number) - exact(price) * BigInt(increments);
    assert.ok(2n * (off < 0n ? -off : off) <= exact(total as number) >> 52n, `${total}`);
  }
});

test('the total of fractions by several dying workers never decreases and is off by their last bits at most', async (t) => {
  const { directory, scrape } = openCluster(t, 0);
  const increments = fc.array(fc.constantFrom(259.9, 19.99, 0.1, 1 / 3, 1, 1e16), { minLength: 1, maxLength: 60 });
  let kind = 0;
  await fc.assert(
    fc.asyncProperty(increments, async (all) => {
      kind++;
      let total = 0n;
      let shown = 0;
      const LIVES = 3;
      for (let life = 0; life < LIVES; life++) {
        const { store, counter } = openWorker(directory, 1);
        for (const value of all) {
          counter.inc({ kind }, value);
          store.flush();
          total += exact(value);
          const next = (await scrape()).of(`acts_total{kind="${kind}"}`);
          assert.ok(next >= shown, `${shown}, then ${next}`);
          shown = next;
        }
        store.close();
      }
      const off = exact(shown) - total;
      // Half of the last bit of each life's total, and of the shown total.
      assert.ok(2n * (off < 0n ? -off : off) <= BigInt(LIVES + 1) * (total >> 52n), `${shown} is off by ${off}`);
    }),
    { numRuns: 10 },
  );
});

for (const [values, merged] of [
  [[Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 5], Number.NaN],
  [[5, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY], Number.NaN],
  [[Number.POSITIVE_INFINITY, 5, Number.NaN], Number.POSITIVE_INFINITY],
  [[Number.NaN, 5, 1], 6],
  [[1e17, 1, -1e17], 1],
  [[0.1, 0.2, -0.3], 2.7755575615628914e-17],
] as const) {
  test(`gauges ${values.join(', ')} make ${merged}, summed or averaged`, async (t) => {
    const { workers, scrape } = openCluster(t, values.length);
    for (const [i, { store }] of workers.entries()) {
      const common = { help: 'help', registers: [new WorkerRegistry(store)] };
      new Gauge({ ...common, name: 'a', aggregator: 'sum' }).set(values[i] as number);
      new Gauge({ ...common, name: 'b', aggregator: 'average' }).set(values[i] as number);
    }
    const known = values.filter((value) => !Number.isNaN(value)).length;
    for (let i = 0; i < 2; i++) {
      const samples = await scrape();
      assert.equal(samples.of('a'), merged);
      assert.equal(samples.of('b'), merged / known);
    }
  });
}

test("a sum equals prom-client's where both are exact", async () => {
  const whole = fc.array(fc.integer({ min: -1_000_000, max: 1_000_000 }));
  await fc.assert(
    fc.asyncProperty(whole, async (values) => {
      const ours = new Histogram({ name: 'a', help: 'help', registers: [new WorkerRegistry()] });
      const theirs = new prom.Histogram({ name: 'a', help: 'help', registers: [new prom.Registry()] });
      for (const value of values) for (const each of [ours, theirs]) each.observe(value);
      const valuesOf = ({ values }: { values: { value: number }[] }) => values.map(({ value }) => value);
      assert.deepEqual(valuesOf(await ours.get()), valuesOf(await theirs.get()));
    }),
    { numRuns: 100 },
  );
});
