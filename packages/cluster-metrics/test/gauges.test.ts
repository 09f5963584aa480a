import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Gauge, WorkerRegistry } from '../src/index.ts';
import { startFarm } from './support/farm.ts';
import { openCluster } from './support/stores.ts';

test('gauges are merged as each says, over living workers only', async (t) => {
  const farm = await startFarm(t, 'ours', { workers: 3 });
  for (const place of [1, 2, 3]) await farm.tell(place, 'observe', { depth: place, peak: 10 * place });
  const before = await farm.scrape();
  assert.equal(before.of('depth'), 6);
  assert.equal(before.of('peak'), 30);
  assert.equal(before.of('place{worker="3"}'), 1);

  await farm.kill(3, 'SIGKILL');
  const after = await farm.scrape();
  assert.equal(after.of('depth'), 3);
  assert.equal(after.of('peak'), 20);
  assert.equal(after.has('place{worker="3"}'), false, 'a dead worker has no gauges');
  assert.equal(after.has('cluster_metrics_worker_age_seconds{worker="3"}'), false);

  await farm.replace(3);
  assert.equal((await farm.scrape()).of('place{worker="3"}'), 1, 'the replacement takes the place');
});

test('a gauge that is NaN in its worker stays NaN, where prom-client shows 0', async (t) => {
  for (const [mechanism, shown] of [
    ['stock', 0],
    ['ours', Number.NaN],
  ] as const) {
    const farm = await startFarm(t, mechanism, { workers: 1 });
    await farm.tell(1, 'forget');
    assert.equal((await farm.scrape()).of('depth'), shown);
  }
});

for (const [aggregator, merged] of [
  ['sum', 9],
  ['min', 2],
  ['max', 4],
  ['average', 3],
  ['first', 2],
] as const) {
  test(`the aggregator ${aggregator} merges its gauges`, async (t) => {
    const cluster = openCluster(t, 3);
    for (const [i, { store }] of cluster.workers.entries()) {
      const gauge = new Gauge({ name: 'merged', help: 'help', aggregator, registers: [new WorkerRegistry(store)] });
      gauge.set(i + 2);
    }
    assert.equal((await cluster.scrape()).of('merged'), merged);
  });
}

for (const aggregator of ['sum', 'min', 'max', 'average', 'first'] as const) {
  test(`a NaN of one process does not spoil the aggregator ${aggregator}`, async (t) => {
    const cluster = openCluster(t, 3);
    const gauges = cluster.workers.map(
      ({ store }) => new Gauge({ name: 'merged', help: 'help', aggregator, registers: [new WorkerRegistry(store)] }),
    );
    for (const gauge of gauges) gauge.set(Number.NaN);
    assert.ok(Number.isNaN((await cluster.scrape()).of('merged')));
    gauges[1]?.set(5);
    assert.equal((await cluster.scrape()).of('merged'), 5);
  });
}

test('the aggregator omit shows a gauge for one worker alone', async (t) => {
  const cluster = openCluster(t, 2);
  for (const { store } of cluster.workers) {
    new Gauge({ name: 'own', help: 'help', aggregator: 'omit', registers: [new WorkerRegistry(store)] }).set(7);
  }
  assert.equal((await cluster.scrape()).has('own'), false);
  assert.equal((await cluster.scrape({ worker: '2' })).of('own'), 7);
});

test('a removed series disappears and comes back when it is set', async (t) => {
  const cluster = openCluster(t, 2);
  const gauges = cluster.workers.map(
    ({ store }) =>
      new Gauge({ name: 'rooms', help: 'help', labelNames: ['room'], registers: [new WorkerRegistry(store)] }),
  );
  for (const gauge of gauges) gauge.set({ room: 'a' }, 1);
  gauges[0]?.remove({ room: 'a' });
  assert.equal((await cluster.scrape()).of('rooms{room="a"}'), 1);
  gauges[1]?.remove('a');
  assert.equal((await cluster.scrape()).has('rooms{room="a"}'), false);
  gauges[1]?.set({ room: 'a' }, 5);
  assert.equal((await cluster.scrape()).of('rooms{room="a"}'), 5);
});

test('infinities and NaN are printed as the format requires', async (t) => {
  const cluster = openCluster(t, 1);
  for (const [value, text] of [
    [Number.POSITIVE_INFINITY, '+Inf'],
    [Number.NEGATIVE_INFINITY, '-Inf'],
    [Number.NaN, 'NaN'],
    [1e21, '1e+21'],
    [-0.5, '-0.5'],
  ] as const) {
    cluster.workers[0]?.gauge.set(value);
    assert.ok((await cluster.scrape()).text.includes(`\ndepth ${text}\n`), text);
  }
});
