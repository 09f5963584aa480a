import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type RunningCluster, startCluster } from '../../support/cluster.ts';
import { activity, testDatabase } from '../../support/database.ts';
import { allSettled, assertMoneyAddsUp } from '../../support/payments.ts';
import { freePort } from '../../support/system.ts';
import { PIX_BUYER, type Visitor } from '../../support/visitor.ts';
import { until, whenDone } from '../../support/wait.ts';

/** A shopper whose Pix waits to be paid. */
async function openPix(shop: RunningCluster): Promise<{ shopper: Visitor; path: string }> {
  const shopper = shop.visitor();
  await shopper.post('/add_to_cart/1', { quantity: 1 });
  const { location } = await shopper.post('/checkout', PIX_BUYER);
  assert.match(location ?? '', /^\/pix\//);
  return { shopper, path: location ?? '' };
}

/** A bank tells the provider, which does not tell the shop. */
async function simulate({ shopper, path }: { shopper: Visitor; path: string }, outcome: 'paid' | 'expired') {
  assert.equal((await shopper.post(`${path}/simulation`, { outcome })).status, 302);
}

test('a Pix whose workers are killed between its confirmation and its order becomes one order without a further request', async (t) => {
  const database = await testDatabase(t);
  const { knex } = database;
  // A fixed port: with PORT=0, a shop whose workers have all died at once gets another one.
  const env = { PORT: String(await freePort()) };
  const shop = await startCluster(t, { workers: 2, database, env });
  const pix = await openPix(shop);
  const { shopper, path } = pix;
  // No order can be stored until it is released.
  const lock = await knex.transaction();
  whenDone(t, async () => {
    if (!lock.isCompleted()) await lock.rollback();
  });
  await lock('products').where({ id: 1 }).forUpdate().first();
  await simulate(pix, 'paid');

  const cut = shopper.get(path).catch(() => null);
  await until('an order is being stored', () =>
    activity(knex).where({ wait_event_type: 'Lock' }).whereLike('query', '%store_pix_order%').first('pid'),
  );
  for (const { pid } of (await shop.status()).workers) if (pid !== null) process.kill(pid, 'SIGKILL');
  await cut;
  await lock.rollback();
  await allSettled(knex);

  assert.deepEqual(await assertMoneyAddsUp(knex), { ordered: 1 });
  assert.deepEqual(await knex('pix_charges').whereNotNull('new_order'), []);
  const again = await until('a worker serves', () => shopper.get(path));
  assert.match(again.location ?? '', /^\/order_confirmation\//);
  const metrics = await shop.metrics();
  assert.equal(metrics.of('shop_payments_unsettled'), 0);
  // The dead worker's statement may have been the one that was stored, and then it could not be counted.
  assert.ok(metrics.of('shop_payments_total', { method: 'pix', outcome: 'approved' }) <= 1);
  assert.equal(metrics.of('shop_orders_total', { outcome: 'failed' }), 0);
});

test('a Pix that is paid while the shop is away becomes its order when the shop is back', async (t) => {
  const database = await testDatabase(t);
  const { knex } = database;
  const killed = await startCluster(t, { workers: 2, database });
  await simulate(await openPix(killed), 'paid');
  await killed.stop('SIGKILL');
  // The workers follow their primary within a second, and may have noticed the payment before.
  const shop = await startCluster(t, { workers: 1, database });
  await allSettled(knex);
  assert.deepEqual(await assertMoneyAddsUp(knex), { ordered: 1 });
  assert.equal((await knex('orders')).length, 1);
  assert.equal((await shop.metrics()).of('shop_payments_unsettled'), 0);
});

test('a Pix whose page is closed is ordered, or expires, without a request', async (t) => {
  const database = await testDatabase(t);
  const { knex } = database;
  const shop = await startCluster(t, { workers: 2, database });
  await simulate(await openPix(shop), 'paid');
  await simulate(await openPix(shop), 'expired');
  await allSettled(knex);
  assert.deepEqual(await assertMoneyAddsUp(knex), { ordered: 1, cancelled: 1 });
  assert.deepEqual(await knex('pix_charges').whereNotNull('new_order'), []);
  // A worker counts when the database has answered.
  const metrics = await until('both are counted', async () => {
    const scrape = await shop.metrics();
    return scrape.of('shop_payments_total') >= 2 && scrape;
  });
  assert.equal(metrics.of('shop_payments_total', { method: 'pix', outcome: 'approved' }), 1);
  assert.equal(metrics.of('shop_payments_total', { method: 'pix', outcome: 'expired' }), 1);
  assert.equal(metrics.of('shop_payments_total'), 2);
  assert.equal(metrics.of('shop_orders_total', { outcome: 'paid' }), 1);
});

test('a Pix whose charge is cut off by the death of its worker is cancelled and counted as failed', async (t) => {
  const database = await testDatabase(t);
  const { knex } = database;
  const shop = await startCluster(t, { workers: 2, database });
  const shopper = shop.visitor();
  await shopper.post('/add_to_cart/1', { quantity: 1 });
  const lock = await knex.transaction();
  whenDone(t, async () => {
    if (!lock.isCompleted()) await lock.rollback();
  });
  // The charge is made, but cannot be written down.
  await lock.raw('lock table pix_charges in access exclusive mode');
  const cut = assert.rejects(shopper.post('/checkout', PIX_BUYER));
  const { worker } = await until('the charge is made', () =>
    knex('simulated_provider_payments')
      .where('simulated_provider_payments.state', 'waiting')
      .join('payments', 'payments.reference', 'simulated_provider_payments.reference')
      .first('worker'),
  );
  process.kill(Number(worker.split('/')[1]), 'SIGKILL');
  await cut;
  await lock.rollback();
  await allSettled(knex);

  // A statement of the dead worker may still have written the charge.
  const ends = await assertMoneyAddsUp(knex);
  if (ends.ordered) return;
  assert.deepEqual(ends, { cancelled: 1 });
  assert.equal((await shop.metrics()).of('shop_payments_total', { method: 'pix', outcome: 'failed' }), 1);
});
