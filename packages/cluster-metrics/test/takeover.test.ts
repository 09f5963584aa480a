import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ClusterRegistry } from '../src/index.ts';
import { parseExposition } from '../src/testing/index.ts';
import { openCluster, openWorker } from './support/stores.ts';

test('a metrics process that takes over starts every count at 0', async (t) => {
  const { directory, workers } = openCluster(t, 1);
  const [worker] = workers;
  worker?.counter.inc({ kind: 'a' }, 900);
  worker?.histogram.observe({ route: '/' }, 5);
  worker?.summary.observe(5);
  worker?.gauge.set(7);
  worker?.store.flush();

  const successor = new ClusterRegistry({ directory, shows: 'from-now' });
  t.after(() => successor.close());
  const scrape = async (worker?: number) => parseExposition(await successor.clusterMetrics({ worker }));
  const first = await scrape();
  assert.equal(first.of('acts_total{kind="a"}'), 0);
  assert.equal(first.of('size_bytes_count'), 0);
  assert.equal(first.of('took_seconds_count'), 0);
  assert.equal(first.of('took_seconds{quantile="0.5"}'), Number.NaN);
  assert.equal(first.of('depth'), 7, 'a gauge is what it is');
  assert.equal((await scrape(1)).of('acts_total{kind="a"}'), 900, 'alone, the worker shows its own life');

  worker?.counter.inc({ kind: 'a' }, 3);
  worker?.histogram.observe({ route: '/' }, 5);
  worker?.summary.observe(9);
  const late = openWorker(directory, 2);
  late.counter.inc({ kind: 'a' }, 4);
  late.store.close();
  const second = await scrape();
  assert.equal(second.of('acts_total{kind="a"}'), 7, 'all of a worker that started later');
  assert.equal(second.of('size_bytes_bucket{le="10"}'), 1);
  assert.equal(second.of('size_bytes_sum'), 5);
  assert.equal(second.of('took_seconds_count'), 1);
  assert.ok(Math.abs(second.of('took_seconds{quantile="0.5"}') - 9) < 0.09);
  worker?.store.close();
  assert.deepEqual((await scrape()).decreases(second), []);
});

test('counts of workers that died without a metrics process are part of what came before', async (t) => {
  const { directory, workers } = openCluster(t, 1);
  workers[0]?.counter.inc({ kind: 'a' }, 5);
  workers[0]?.store.close();
  const successor = new ClusterRegistry({ directory, shows: 'from-now' });
  t.after(() => successor.close());
  assert.equal(parseExposition(await successor.clusterMetrics()).of('acts_total{kind="a"}'), 0);
});

test('the option shows is all or from-now', (t) => {
  const { directory } = openCluster(t, 0);
  assert.throws(() => new ClusterRegistry({ directory, shows: 'now' as never }), {
    name: 'TypeError',
    message: "shows must be 'all' or 'from-now', not 'now'",
  });
});
