import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { ClusterRegistry, createStoreDirectory, openStore, WorkerRegistry } from '@techcommerce/cluster-metrics';
import { createWorkerMetrics } from '../../src/instrument/worker-metrics.ts';
import { instantOf } from '../../src/ops/live/evaluate.ts';
import { createFactReader } from '../../src/ops/live/facts.ts';
import { History } from '../../src/ops/live/history.ts';
import { createReader } from '../../src/ops/live/kept.ts';
import { shopRoutes } from '../../src/web/routes.ts';
import { whenDone } from '../support/wait.ts';

/** Metrics of two workers with 24 products, and the history of their primary. */
function openShop(t: TestContext) {
  const directory = createStoreDirectory({ name: 'live' });
  const registry = new ClusterRegistry({ directory: directory.path });
  const workers = ['1', '2'].map((worker) => {
    const store = openStore({ directory: directory.path, worker });
    const metrics = createWorkerMetrics(new WorkerRegistry(store), { worker, routes: shopRoutes, poolMax: 10 });
    metrics.declareProducts(Array.from({ length: 24 }, (_, i) => `product-${i}`));
    whenDone(t, () => store.close());
    return metrics;
  });
  whenDone(t, () => {
    registry.close();
    directory.remove();
  });
  const history = new History();
  return { workers, history, read: createReader(registry, (key) => history.makeColumn(key)) };
}

test('the history has as many numbers as the code and the catalogue give, for any requests of visitors', async (t) => {
  const { workers, history, read } = openShop(t);
  const { values } = await read({ withDurations: true });
  assert.equal(values.length, history.columns.size);
  t.diagnostic(`${values.length} numbers`);
  assert.ok(values.length > 400 && values.length < 700, String(values.length));
  for (const [i, { httpRequestDuration, errors }] of workers.entries()) {
    httpRequestDuration.observe({ method: 'GET', route: '/shop', status_code: 200 }, 0.003);
    httpRequestDuration.observe({ method: '_OTHER', route: '/shop', status_code: 499 }, 20 + i);
    errors.inc({ type: 'internal', route: '/shop' });
    workers[i]?.flush();
  }
  assert.equal((await read({ withDurations: true })).values.length, values.length);
});

test('a number is the sum over workers and all labels that it does not name', async (t) => {
  const { workers, history, read } = openShop(t);
  for (const { httpRequestDuration, errors, orders, flush } of workers) {
    httpRequestDuration.observe({ method: 'GET', route: '/checkout', status_code: 200 }, 0.003);
    httpRequestDuration.observe({ method: 'POST', route: '/checkout', status_code: 302 }, 0.3);
    httpRequestDuration.observe({ method: 'GET', route: '/livez', status_code: 200 }, 0.001);
    errors.inc({ type: 'internal', route: '/shop' });
    errors.inc({ type: 'database', route: '/shop' });
    orders.inc({ outcome: 'paid' });
    flush();
  }
  const { values, latest, durations } = await read({ withDurations: true });
  const numberOf = (key: string) => values[history.columnOf(key) ?? -1];
  assert.equal(numberOf('shop_orders_total{outcome="paid"}'), 2);
  assert.equal(numberOf('http_request_duration_seconds_count{route="/checkout"}'), 4);
  assert.equal(numberOf('http_request_duration_seconds_count{method="POST",route="/checkout"}'), 2);
  assert.equal(numberOf('http_request_duration_seconds_sum{method="POST",route="/checkout"}'), 0.6);
  assert.equal(numberOf('http_request_duration_seconds_count'), 6);
  assert.equal(
    durations?.map(({ count }) => count).reduce((a, b) => a + b),
    6,
    'of the same moment',
  );
  assert.equal((await read({ withDurations: false })).durations, null);
  assert.equal(numberOf('shop_errors_total'), 4);
  assert.equal(numberOf('shop_errors_total{type="database"}'), 2);
  assert.equal(numberOf('shop_errors_total{route="/shop"}'), 4);
  assert.equal(latest.get('shop_errors_total{route="/shop",type="internal"}'), 2);
  const pages = [...history.columns.keys()].find((key) => key.startsWith('http_request_duration_seconds{route!~'));
  assert.ok(pages);
  assert.equal(numberOf(pages.replace(/le .+$/, 'le +Inf')), 4, 'the health check is no page');
});

test('a failure is blamed on its own route, although others have errors of visitors', async (t) => {
  const { workers, history, read } = openShop(t);
  const note = async () =>
    history.push((await read({ withDurations: true })).values, history.fine.length * 1000, history.fine.length * 1000);
  await note();
  for (const { errors, flush } of workers) {
    for (let i = 0; i < 50; i++) errors.inc({ type: 'not_found', route: '/detail/:id' });
    for (let i = 0; i < 9; i++) errors.inc({ type: 'database', route: '/cart' });
    errors.inc({ type: 'internal', route: '/contact' });
    flush();
  }
  const facts = createFactReader(history)(instantOf(history, await note()), new Map(), []);
  assert.deepEqual([facts.failingRoute, facts.faultyRoute], ['/cart', '/contact']);
});
