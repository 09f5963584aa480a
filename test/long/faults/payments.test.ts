import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Knex } from 'knex';
import { startCluster } from '../../support/cluster.ts';
import { testDatabase } from '../../support/database.ts';
import { allSettled, assertMoneyAddsUp } from '../../support/payments.ts';
import { CUSTOMER } from '../../support/visitor.ts';
import { until, whenDone } from '../../support/wait.ts';

test('the primary cancels the payment of a worker that was killed between approval and order', async (t) => {
  const database = await testDatabase(t);
  const { knex } = database;
  const shop = await startCluster(t, { workers: 2, database });
  const visitor = shop.visitor();
  await visitor.post('/add_to_cart/1', { quantity: 1 });
  const lock = await knex.transaction();
  whenDone(t, async () => {
    if (!lock.isCompleted()) await lock.rollback();
  });
  await lock('products').where({ id: 1 }).forUpdate().first();

  const cut = assert.rejects(visitor.post('/checkout', CUSTOMER));
  const { worker, reference } = await until('the payment is approved', async () =>
    knex('payments').where({ state: 'approved' }).first('worker', 'reference'),
  );
  process.kill(Number(worker.split('/')[1]), 'SIGKILL');
  await cut;
  await allSettled(knex);
  await lock.rollback();

  assert.deepEqual(await assertMoneyAddsUp(knex), { cancelled: 1 });
  assert.deepEqual(await knex('orders'), []);
  const told = (message: string) =>
    shop
      .output()
      .split('\n')
      .filter((line) => line.includes(reference) && line.includes(message));
  assert.equal(told('ended without settling its payment').length, 1);
  await until('the log shows the end', () => told('abandoned payment is given back').length === 1);
  const metrics = await shop.metrics();
  assert.equal(metrics.of('shop_orders_total', { outcome: 'failed' }), 1);
  assert.equal(metrics.of('shop_payments_total', { method: 'card', outcome: 'failed' }), 1);
  assert.equal(metrics.of('shop_payments_unsettled'), 0);

  const again = await until('a worker serves', () => visitor.post('/checkout', CUSTOMER));
  assert.match(again.location ?? '', /^\/order_confirmation\//);
  assert.deepEqual(await assertMoneyAddsUp(knex), { cancelled: 1, ordered: 1 });
});

test('a failed order is counted once when its worker counts it and dies before the primary settles its payment', async (t) => {
  const database = await testDatabase(t);
  const { knex } = database;
  const shop = await startCluster(t, { workers: 2, database });
  const visitor = shop.visitor();
  await visitor.post('/add_to_cart/1', { quantity: 1 });
  const locks: Knex.Transaction[] = [];
  whenDone(t, () => Promise.all(locks.filter((lock) => !lock.isCompleted()).map((lock) => lock.rollback())));
  const product = await knex.transaction();
  const payment = await knex.transaction();
  locks.push(product, payment);
  await product('products').where({ id: 1 }).forUpdate().first();

  const failing = visitor.post('/checkout', CUSTOMER);
  const { worker, reference } = await until('the payment is approved', () =>
    knex('payments').where({ state: 'approved' }).first('worker', 'reference'),
  );
  // This lock is the next on the payment's row, so that the payment cannot be given up before the worker is dead.
  const held = Promise.resolve(payment('payments').where({ reference }).forUpdate().first());
  assert.equal((await failing).status, 503);
  await held;
  process.kill(Number(worker.split('/')[1]), 'SIGKILL');
  await until('the worker has exited', async () =>
    (await shop.status()).workers.every(({ pid }) => !worker.endsWith(`/${pid}`)),
  );
  // Ends the worker's statement, which PostgreSQL might notice only later.
  await knex.raw(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where datname = current_database() and wait_event_type = 'Lock'`,
  );
  await payment.rollback();
  await product.rollback();
  await allSettled(knex);

  assert.deepEqual(await assertMoneyAddsUp(knex), { cancelled: 1 });
  await until('the log shows the end', () => shop.output().includes('abandoned payment is given back'));
  const metrics = await shop.metrics();
  assert.equal(metrics.of('shop_orders_total', { outcome: 'failed' }), 1);
  assert.equal(metrics.of('shop_payments_total'), 1, 'counted as cancelled by its worker');
});

test('shop_payments_unsettled counts a payment until it is settled', async (t) => {
  const database = await testDatabase(t);
  const { knex } = database;
  const left = { cart_id: knex.raw('gen_random_uuid()'), amount_cents: 500, state: 'started', worker: 'gone' };
  const seconds = (ago: number) => knex.raw('now() - make_interval(secs => ?)', [ago]);
  const shop = await startCluster(t, { workers: 1, database });
  const unsettled = async () => (await shop.metrics()).of('shop_payments_unsettled');
  await knex('payments').insert([
    // The primary would settle it, but a payment that was given up just now belongs to another process for 15 seconds.
    { ...left, reference: 'old', created_at: seconds(11), given_up_at: knex.fn.now() },
    { ...left, reference: 'young', created_at: seconds(-60), given_up_at: knex.fn.now() },
    { ...left, reference: 'done', created_at: seconds(60), state: 'ordered' },
  ]);
  await until('it shows', async () => (await unsettled()) === 1);
  await knex('payments').where('reference', 'old').update({ state: 'cancelled' });
  await until('it is gone', async () => (await unsettled()) === 0);
});
