import assert from 'node:assert/strict';
import fs, { readFileSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ClusterRegistry, createStoreDirectory } from '../src/index.ts';
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

/** Makes a function of `node:fs` fail. @returns a function that mends it */
function breakFs(t: TestContext, name: 'openSync' | 'readdirSync'): () => void {
  const { mock } = t.mock.method(fs, name, () => {
    throw Object.assign(new Error('too many open files'), { code: 'EMFILE' });
  });
  syncBuiltinESMExports();
  return () => {
    mock.restore();
    syncBuiltinESMExports();
  };
}

/** Makes a file unreadable in a way. @returns a function that mends it */
const obstacles: Record<string, (t: TestContext, path: string) => () => void> = {
  'is damaged': (_, path) => overwrite(path, 0, Buffer.from('promshm2')),
  'has a damaged directory': (_, path) => overwrite(path, readFileSync(path).length - 100, Buffer.alloc(20, 0x20)),
  "can't be opened": (t) => breakFs(t, 'openSync'),
  "can't be found": (t) => breakFs(t, 'readdirSync'),
};

function overwrite(path: string, position: number, bytes: Buffer): () => void {
  const whole = readFileSync(path);
  const damaged = Buffer.from(whole);
  bytes.copy(damaged, position);
  writeFileSync(path, damaged);
  return () => writeFileSync(path, whole);
}

for (const [what, obstruct] of Object.entries(obstacles)) {
  test(`what a file held at the start does not come later, though it ${what} then`, async (t) => {
    const { directory, workers } = openCluster(t, 1);
    const [worker] = workers;
    if (worker?.store.path == null) throw new Error('there is one');
    worker.counter.inc({ kind: 'a' }, 1000);
    worker.summary.observe(5);
    worker.store.flush();

    const mend = obstruct(t, worker.store.path);
    const successor = new ClusterRegistry({ directory, shows: 'from-now' });
    t.after(() => successor.close());
    mend();
    const scrape = async () => parseExposition(await successor.clusterMetrics());
    const first = await scrape();
    assert.equal(first.of('acts_total{kind="a"}'), 0);
    assert.equal(first.of('took_seconds{quantile="0.5"}'), Number.NaN);

    worker.counter.inc({ kind: 'a' }, 3);
    const late = openWorker(directory, 2);
    t.after(() => late.store.close());
    late.counter.inc({ kind: 'a' }, 4);
    assert.equal((await scrape()).of('acts_total{kind="a"}'), 7);
  });
}

test('all of the workers is shown that start after a metrics process whose folder was not there yet', async (t) => {
  const parent = createStoreDirectory({ name: 'takeover' });
  const directory = join(parent.path, 'stores');
  const registry = new ClusterRegistry({ directory, shows: 'from-now' });
  const { store, counter } = openWorker(directory, 1);
  t.after(() => {
    store.close();
    registry.close();
    parent.remove();
  });
  counter.inc({ kind: 'a' }, 4);
  store.flush();
  assert.equal(parseExposition(await registry.clusterMetrics()).of('acts_total{kind="a"}'), 4);
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
