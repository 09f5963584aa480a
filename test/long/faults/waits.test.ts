import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startCluster } from '../../support/cluster.ts';
import { testDatabase } from '../../support/database.ts';
import { CUSTOMER } from '../../support/visitor.ts';
import { until, whenDone } from '../../support/wait.ts';

/** The limit for a page, and as much again for a machine that runs other tests. */
const BOUND_MS = 4_000;
const WORKERS = 2;
const POOL_MAX = 2;

test('pages that wait while hanging queries exhaust the pools get 503, and the metrics show what they waited for', async (t) => {
  const database = await testDatabase(t);
  const shop = await startCluster(t, { workers: WORKERS, database, env: { DB_POOL_MAX: String(POOL_MAX) } });
  const visitors = Array.from({ length: 12 }, () => shop.visitor());
  const before = await shop.metrics();
  const lock = await database.knex.transaction();
  whenDone(t, async () => {
    if (!lock.isCompleted()) await lock.rollback();
  });
  await lock.raw('lock table carts in access exclusive mode');

  const startedMs = performance.now();
  const answers = Promise.all(visitors.map((visitor) => visitor.get('/cart')));
  await until('a pool is exhausted, and the metrics show it', async () => {
    const scrape = await shop.metrics();
    // The system chooses the worker of a visitor.
    return (
      scrape.of('shop_db_connections', { state: 'active' }) >= POOL_MAX &&
      scrape.of('shop_db_connections_max') === WORKERS * POOL_MAX &&
      scrape.of('shop_db_connections', { state: 'pending' }) > 0 &&
      scrape.of('shop_db_up') === 1
    );
  });
  for (const { status, headers } of await answers) {
    assert.equal(status, 503);
    assert.ok(headers.has('retry-after'));
  }
  assert.ok(performance.now() - startedMs < BOUND_MS, `it took ${performance.now() - startedMs} ms`);
  await lock.rollback();

  const change = (await shop.metrics()).since(before);
  const spent = (on: string) =>
    change.of('shop_request_time_seconds_total', { route: '/cart', spent: on }) / visitors.length;
  t.diagnostic(`seconds a page: db ${spent('db')}, db_wait ${spent('db_wait')}, app ${spent('app')}`);
  assert.ok(spent('db') > 0.2, 'some waited for the hung queries');
  assert.ok(spent('db_wait') > 0.3, 'the others for a connection');
  assert.ok(spent('app') < spent('db_wait'));
  assert.equal(change.of('shop_errors_total', { route: '/cart', type: 'database' }), visitors.length);
  for (const visitor of visitors) assert.equal((await visitor.get('/cart')).status, 200);
});

test('a hanging checkout gets 503, changes nothing, shows its phase in the metrics, and can be repeated', async (t) => {
  const database = await testDatabase(t);
  const shop = await startCluster(t, { workers: WORKERS, database });
  const visitor = shop.visitor();
  await visitor.post('/add_to_cart/1', { quantity: 1 });
  const before = await shop.metrics();
  const lock = await database.knex.transaction();
  whenDone(t, async () => {
    if (!lock.isCompleted()) await lock.rollback();
  });
  await lock('products').where({ id: 1 }).forUpdate().first();

  const startedMs = performance.now();
  const hung = await visitor.post('/checkout', CUSTOMER);
  assert.equal(hung.status, 503);
  assert.ok(performance.now() - startedMs < BOUND_MS);
  await lock.rollback();

  const change = (await shop.metrics()).since(before);
  const phase = (name: string) => change.of('shop_checkout_phase_duration_seconds_sum', { phase: name });
  assert.ok(phase('commit') > 1, `commit took ${phase('commit')} s`);
  assert.ok(phase('reserve') < phase('commit') && phase('payment') < phase('commit'));
  const time = { route: '/checkout', spent: 'db' };
  assert.ok(change.of('shop_request_time_seconds_total', time) > 1);
  assert.equal(change.of('shop_orders_total', { outcome: 'failed' }), 1);
  assert.deepEqual(await database.knex('orders').select('id'), []);

  assert.match((await visitor.post('/checkout', CUSTOMER)).location ?? '', /^\/order_confirmation\//);
  assert.equal((await database.knex('orders').select('id')).length, 1);
});
