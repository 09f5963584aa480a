import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { activity, openPool } from '../../support/database.ts';
import { type TestProviderOptions, testProvider } from '../../support/payments.ts';
import { startProxy } from '../../support/proxy.ts';
import { startShop } from '../../support/shop.ts';
import { PATIENT } from '../../support/test-server.ts';
import { CUSTOMER, PIX_BUYER } from '../../support/visitor.ts';
import { until, whenDone } from '../../support/wait.ts';

/**
 * A shop with a proxy before its database, and a visitor with a product in the cart.
 *
 * @param meanwhile a statement that PostgreSQL runs while it commits a new row of `table`
 */
async function startBadCommits(
  t: TestContext,
  meanwhile: string,
  table: 'orders' | 'payments' | 'pix_charges' = 'orders',
  provider: TestProviderOptions = {},
) {
  const shop = await startShop(t);
  await shop.knex.raw(`
    create function meanwhile() returns trigger language plpgsql as $$ begin ${meanwhile}; return null; end $$;
    create constraint trigger meanwhile after insert on ${table} deferrable initially deferred
    for each row execute function meanwhile()`);
  const proxy = await startProxy(t, shop.url);
  const database = openPool(t, proxy, { poolMax: 5 });
  const payments = testProvider(provider);
  const worker = await shop.another({ database, payments });
  const visitor = worker.visitor();
  assert.equal((await visitor.post('/add_to_cart/1', { quantity: 1 })).status, 302);
  return { shop, knex: shop.knex, proxy, worker, visitor, ...payments };
}

test("an order whose commit's answer is lost is kept and paid, and a repeated submit finds it", async (t) => {
  const { knex, proxy, worker, visitor, asked, cancelled } = await startBadCommits(
    t,
    'perform pg_advisory_xact_lock(1)',
  );
  const pause = await knex.transaction();
  whenDone(t, () => pause.rollback());
  await pause.raw('select pg_advisory_xact_lock(1)');
  const checkout = visitor.post('/checkout', CUSTOMER);
  // The first attempt gives up after 0.1 s; the approval is noted before the second one.
  await until('the commit is under way', async () =>
    activity(knex)
      .where({ state: 'active', wait_event: 'advisory' })
      .whereExists(knex('payments').where({ state: 'approved' }))
      .first('pid'),
  );
  proxy.block();
  await pause.rollback();
  assert.equal((await checkout).status, 503);
  proxy.cut();
  proxy.unblock();

  await until('it is settled', () => worker.log().includes('the order was made'));
  assert.deepEqual(cancelled, []);
  const orders = await knex('orders').select('number', 'payment_reference', 'total_cents');
  assert.deepEqual(
    orders.map((order) => order.payment_reference),
    asked,
  );
  assert.deepEqual(await knex('payments').pluck('state'), ['ordered']);
  const again = await visitor.post('/checkout', CUSTOMER);
  assert.equal(again.location, `/order_confirmation/${orders[0]?.number}`);

  const metrics = await worker.metrics();
  assert.equal(metrics.of('shop_orders_total', { outcome: 'paid' }), 1);
  assert.equal(metrics.of('shop_orders_total'), 1);
  assert.equal(metrics.of('shop_payments_total', { method: 'card', outcome: 'approved' }), 1);
  assert.equal(metrics.of('shop_payments_total'), 1);
  assert.equal(metrics.of('shop_order_value_brl_total'), orders[0]?.total_cents / 100);
  assert.equal(metrics.of('shop_units_sold_total'), 1);
});

test('a failed commit leaves no order, and the payment is cancelled', async (t) => {
  const { knex, worker, visitor, asked, cancelled } = await startBadCommits(
    t,
    "raise exception using errcode = 'serialization_failure'",
  );
  assert.equal((await visitor.post('/checkout', CUSTOMER)).status, 503);
  await until('it is settled', () => worker.log().includes('its payment is given back'));
  assert.deepEqual(cancelled, asked);
  assert.deepEqual(await knex('payments').pluck('state'), ['cancelled']);
  assert.deepEqual(await knex('orders').select(), []);
  assert.deepEqual(await knex('products').where({ id: 1 }).first('stock'), { stock: 240 });
  const metrics = await worker.metrics();
  assert.equal(metrics.of('shop_orders_total', { outcome: 'failed' }), 1);
  assert.equal(metrics.of('shop_orders_total'), 1);
  assert.equal(metrics.of('shop_payments_total', { method: 'card', outcome: 'cancelled' }), 1);
  assert.equal(metrics.of('shop_payments_total'), 1);
});

test("a payment whose start's answer is lost is given up at once without a charge, and the cart can be ordered", async (t) => {
  const { knex, proxy, worker, visitor, asked } = await startBadCommits(
    t,
    'perform pg_advisory_xact_lock(1)',
    'payments',
  );
  const pause = await knex.transaction();
  whenDone(t, () => pause.rollback());
  await pause.raw('select pg_advisory_xact_lock(1)');
  const checkout = visitor.post('/checkout', CUSTOMER);
  await until('the payment is being written', async () =>
    activity(knex).where({ state: 'active', wait_event: 'advisory' }).first('pid'),
  );
  proxy.block();
  await pause.rollback();
  assert.equal((await checkout).status, 503);
  assert.deepEqual(asked, []);
  assert.deepEqual(await knex('payments').pluck('state'), ['started']);
  proxy.cut();
  proxy.unblock();

  await until('it is settled', () => worker.log().includes('its payment is given back'));
  assert.deepEqual(await knex('payments').pluck('state'), ['cancelled']);
  const again = await visitor.post('/checkout', CUSTOMER);
  assert.match(again.location ?? '', /^\/order_confirmation\//);
  const metrics = await worker.metrics();
  assert.equal(metrics.of('shop_orders_total', { outcome: 'failed' }), 1);
  assert.equal(metrics.of('shop_orders_total', { outcome: 'paid' }), 1);
});

test("a Pix whose order's commit is not answered is ordered and counted once", async (t) => {
  const { knex, proxy, worker, visitor } = await startBadCommits(t, 'perform pg_advisory_xact_lock(1)', 'orders', {
    find: async () => 'approved',
  });
  const { location: page } = await visitor.post('/checkout', PIX_BUYER);
  assert.match(page ?? '', /^\/pix\//);
  const pause = await knex.transaction();
  whenDone(t, () => pause.rollback());
  await pause.raw('select pg_advisory_xact_lock(1)');
  const shown = visitor.get(page ?? '');
  await until('the commit is under way', async () =>
    activity(knex).where({ state: 'active', wait_event: 'advisory' }).first('pid'),
  );
  proxy.block();
  await pause.rollback();
  await until('the order is stored', async () => (await knex('orders')).length === 1);
  proxy.cut();
  proxy.unblock();
  await shown.catch(() => null);

  const metrics = await until('it is counted', async () => {
    const scrape = await worker.metrics();
    return scrape.of('shop_orders_total', { outcome: 'paid' }) === 1 && scrape;
  });
  assert.equal(metrics.of('shop_orders_total'), 1);
  assert.equal(metrics.of('shop_payments_total', { method: 'pix', outcome: 'approved' }), 1);
  assert.equal(metrics.of('shop_payments_total'), 1);
  assert.deepEqual(await knex('payments').pluck('state'), ['ordered']);
  assert.match((await visitor.get(page ?? '')).location ?? '', /^\/order_confirmation\//);
});

test('a charge by Pix whose answer is lost is not counted as failed when another worker has made its order', async (t) => {
  const find = async () => 'approved' as const;
  const { shop, knex, proxy, worker, visitor } = await startBadCommits(
    t,
    'perform pg_advisory_xact_lock(1)',
    'pix_charges',
    { find },
  );
  const other = await shop.another({ payments: testProvider({ find }) });
  const pause = await knex.transaction();
  whenDone(t, async () => {
    if (!pause.isCompleted()) await pause.rollback();
  });
  await pause.raw('select pg_advisory_xact_lock(1)');
  const checkout = visitor.post('/checkout', PIX_BUYER);
  await until('the charge is being written', () =>
    activity(knex).where({ state: 'active', wait_event: 'advisory' }).first('pid'),
  );
  proxy.block();
  await pause.rollback();
  assert.equal((await checkout).status, 503);
  const { reference } = await until('the charge is open', () =>
    knex('payments').where({ state: 'waiting' }).first('reference'),
  );
  const { location } = await visitor.get(`${other.origin}/pix/${reference}`);
  assert.match(location ?? '', /^\/order_confirmation\//);
  proxy.cut();
  proxy.unblock();

  await until('it is settled', () => worker.log().includes('the order was made'));
  assert.equal((await other.metrics()).of('shop_payments_total', { method: 'pix', outcome: 'approved' }), 1);
  const metrics = await worker.metrics();
  assert.equal(metrics.of('shop_payments_total'), 0);
  assert.equal(metrics.of('shop_orders_total'), 0);
});

test('a Pix whose statement is cut off while it waits for a lock is counted when it is stored after all', async (t) => {
  const shop = await startShop(t);
  const { knex } = shop;
  // As PostgreSQL does by default. The embedded server ends a statement whose client has gone for a second.
  await knex.raw('alter database ?? set client_connection_check_interval = 0', [new URL(shop.url).pathname.slice(1)]);
  const proxy = await startProxy(t, shop.url);
  const database = openPool(t, proxy, { poolMax: 5, deadlines: PATIENT });
  const worker = await shop.another({ database, payments: testProvider({ find: async () => 'approved' }) });
  const visitor = worker.visitor();
  assert.equal((await visitor.post('/add_to_cart/1', { quantity: 1 })).status, 302);
  const { location: page } = await visitor.post('/checkout', PIX_BUYER);
  assert.match(page ?? '', /^\/pix\//);
  // Before the statement that locks the payment.
  await knex.raw(`
    create function meanwhile() returns trigger language plpgsql as $$ begin
      perform set_config('lock_timeout', '0', true);
      perform pg_advisory_xact_lock(1);
      return null;
    end $$;
    create trigger meanwhile before update on payments for each statement execute function meanwhile()`);
  const pause = await knex.transaction();
  whenDone(t, async () => {
    if (!pause.isCompleted()) await pause.rollback();
  });
  await pause.raw('select pg_advisory_xact_lock(1)');
  const shown = visitor.get(page ?? '').catch(() => null);
  await until('the order waits', () => activity(knex).where({ state: 'active', wait_event: 'advisory' }).first('pid'));
  proxy.cut();
  await shown;
  await until('the worker has asked how it ended', () =>
    activity(knex).where({ state: 'idle' }).whereLike('query', 'select%"orders"%').first('pid'),
  );
  await pause.rollback();

  const metrics = await until('it is counted', async () => {
    const scrape = await worker.metrics();
    return scrape.of('shop_orders_total', { outcome: 'paid' }) === 1 && scrape;
  });
  assert.equal(metrics.of('shop_payments_total', { method: 'pix', outcome: 'approved' }), 1);
  assert.equal((await knex('orders')).length, 1);
});
