import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '../../../test/support/wait.ts';
import { startFarm } from './support/farm.ts';
import { openCluster } from './support/stores.ts';

const QUANTILES = [0.5, 0.9, 0.95, 0.99];
/** Of schema 6, (b - 1) / (b + 1) with b = 2^(1/64), and what the float64 of a value rounds away. */
const TOLERANCE = 0.005416;

/** Nearest rank: the smallest value that is not exceeded by at least the share `q` of all values. */
function exactQuantile(sorted: Float64Array, q: number): number {
  return sorted[Math.max(1, Math.ceil(q * sorted.length)) - 1] ?? Number.NaN;
}

function assertWithin(actual: number, exact: number, what: string): void {
  const limit = Math.abs(exact) * TOLERANCE;
  assert.ok(
    Number.isNaN(exact) ? Number.isNaN(actual) : Math.abs(actual - exact) <= limit,
    `${what}: ${actual} instead of ${exact}`,
  );
}

/** The observations of the worker at `place`, counted from 0. */
type Distribution = (place: number, workers: number) => number[];

const many = (draw: () => number, count = 2_000) => Array.from({ length: count }, draw);

const distributions: Record<string, Distribution> = {
  uniform: () => many(() => Math.random()),
  exponential: () => many(() => -0.02 * Math.log(1 - Math.random())),
  bimodal: () => many(() => (Math.random() < 0.5 ? 0.002 : 0.8) * (0.9 + 0.2 * Math.random())),
  'one slow worker': (place) => many(() => (place === 0 ? 2 : 0.01) * (0.5 + Math.random())),
  constant: () => many(() => 0.042),
  'single value': (place) => (place === 0 ? [0.123] : []),
  empty: () => [],
  'of all sizes': () => many(() => 10 ** (12 * Math.random() - 6)),
  'near the limits of float64': () => many(() => 2 ** ((Math.random() < 0.5 ? -1022 : 1000) + Math.random())),
  'powers of two': () => many(() => 2 ** Math.round(20 * Math.random() - 10)),
  'negative and zero': () => many(() => Math.round((Math.random() - 0.5) * 10) / 10),
};

for (const workers of [1, 2, 8, 64]) {
  for (const [name, distribution] of Object.entries(distributions)) {
    test(`quantiles of ${workers} stores together are exact for ${name}`, async (t) => {
      const cluster = openCluster(t, workers);
      const all: number[] = [];
      for (const [place, { summary }] of cluster.workers.entries()) {
        for (const value of distribution(place, workers)) {
          summary.observe(value);
          all.push(value);
        }
      }
      const samples = await cluster.scrape();
      const sorted = Float64Array.from(all).sort();
      for (const q of QUANTILES) {
        assertWithin(samples.of(`took_seconds{quantile="${q}"}`), exactQuantile(sorted, q), `${name} p${q * 100}`);
      }
      assert.equal(samples.of('took_seconds_count'), all.length);
    });
  }
}

test("prom-client's median of four workers of 10 ms each is 40 ms", async (t) => {
  const farm = await startFarm(t, 'stock', { workers: 4 });
  for (const place of [1, 2, 3, 4]) await farm.tell(place, 'observe', { waits: [0.01] });
  const samples = await farm.scrape();
  assert.equal(samples.of('wait_seconds{quantile="0.5",operation="select"}'), 0.04);
  assert.equal(samples.of('idle_seconds{quantile="0.99"}'), 0, 'and an empty window looks like a perfect p99');
});

test('the median of four workers of 10 ms each is 10 ms', async (t) => {
  const farm = await startFarm(t, 'ours', { workers: 4 });
  for (const place of [1, 2, 3, 4]) await farm.tell(place, 'observe', { waits: [0.01] });
  const samples = await farm.scrape();
  assertWithin(samples.of('wait_seconds{operation="select",quantile="0.5"}'), 0.01, 'median');
  assert.ok(Number.isNaN(samples.of('idle_seconds{quantile="0.99"}')));
});

test('an empty window is NaN in both text formats, though the sum and the count stay', async (t) => {
  const cluster = openCluster(t, 2, { maxAgeSeconds: 1 });
  for (const { summary } of cluster.workers) summary.observe(0.5);
  const full = await cluster.scrape();
  assertWithin(full.of('took_seconds{quantile="0.5"}'), 0.5, 'median');

  const empty = await until('the window slides', async () => {
    const samples = await cluster.scrape();
    return Number.isNaN(samples.of('took_seconds{quantile="0.5"}')) && samples;
  });
  assert.match(empty.text, /^took_seconds\{quantile="0.5"\} NaN$/m);
  assert.match((await cluster.scrape({ openMetrics: true })).text, /^took_seconds\{quantile="0.5"\} NaN$/m);
  assert.equal(empty.of('took_seconds_count'), 2);
  assert.equal(empty.of('took_seconds_sum'), 1);
});

test('observations older than the window no longer count', async (t) => {
  const cluster = openCluster(t, 2, { maxAgeSeconds: 1 });
  const [first, second] = cluster.workers;
  for (let i = 0; i < 1000; i++) first?.summary.observe(9);
  assertWithin((await cluster.scrape()).of('took_seconds{quantile="0.5"}'), 9, 'at first');
  await until('the old values to leave', async () => {
    second?.summary.observe(0.1);
    return Math.abs((await cluster.scrape()).of('took_seconds{quantile="0.5"}') - 0.1) < 0.001;
  });
});

test('one worker alone has its own quantiles', async (t) => {
  const cluster = openCluster(t, 2);
  cluster.workers[0]?.summary.observe(0.1);
  cluster.workers[1]?.summary.observe(0.3);
  assertWithin((await cluster.scrape({ worker: '1' })).of('took_seconds{quantile="0.99"}'), 0.1, 'worker 1');
  assertWithin((await cluster.scrape({ worker: '2' })).of('took_seconds{quantile="0.99"}'), 0.3, 'worker 2');
});
