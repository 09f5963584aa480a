import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Exposition } from '@techcommerce/cluster-metrics/testing';
import { type RunningCluster, startCluster } from '../support/cluster.ts';
import { testDatabase } from '../support/database.ts';
import { BACKPACK, CUSTOMER, DECLINED_CARD, hiddenFields, SHIPPING_CENTS, type Visitor } from '../support/visitor.ts';
import { until } from '../support/wait.ts';

const PRODUCTS = 24;
const SEVEN = [
  'shop_cart_additions_total',
  'shop_errors_total',
  'shop_active_cart_sessions',
  'shop_cpu_usage_ratio',
  'shop_db_connections',
  'http_request_duration_seconds_count',
  'shop_db_operation_duration_seconds_count',
];

/** Acts, and returns the exact change of the metrics, scraped right after the last response. */
async function changeBy(shop: RunningCluster, act: () => Promise<unknown>) {
  const before = await shop.metrics();
  await act();
  return (await shop.metrics()).since(before);
}

/** Waits for the value: gauges are up to two seconds old. */
function gaugeBecomes(shop: RunningCluster, name: string, value: number): Promise<Exposition> {
  return until(`${name} is ${value}`, async () => {
    const scrape = await shop.metrics();
    return scrape.of(name) === value && scrape;
  });
}

test('a shopper buys, and each of the seven metrics counts it', async (t) => {
  const { url, knex } = await testDatabase(t);
  const shop = await startCluster(t, { workers: 2, database: { url } });
  const ana = shop.visitor();
  const backpack = () => knex('products').where('id', BACKPACK.id).first();
  const { stock } = await backpack();

  await t.test('every series exists at 0 before the first visit', async () => {
    const scrape = await shop.metrics();
    for (const name of SEVEN) assert.ok(scrape.has(name), name);
    assert.equal(scrape.samples.filter(({ name }) => name === 'shop_cart_additions_total').length, PRODUCTS);
    assert.equal(scrape.of('shop_cart_additions_total'), 0);
    assert.equal(scrape.of('shop_errors_total'), 0);
    assert.equal(scrape.of('http_request_duration_seconds_count'), 0);
    // NaN while a busy database has not answered its first sample.
    await gaugeBecomes(shop, 'shop_active_cart_sessions', 0);
    for (const worker of ['primary', '1', '2']) assert.ok(scrape.has('shop_cpu_usage_ratio', { worker }), worker);
    for (const state of ['active', 'idle', 'pending']) assert.ok(scrape.has('shop_db_connections', { state }), state);
  });

  await t.test('the histogram counts each page under its route template', async () => {
    const change = await changeBy(shop, async () => {
      const home = await ana.get('/');
      assert.equal(home.status, 200);
      assert.match(home.text, /<html lang="pt-BR"/);
      assert.equal((await ana.get('/shop?q=mochila')).status, 200);
      const detail = await ana.get('/detail/1');
      assert.equal(detail.status, 200);
      assert.ok(detail.text.includes(BACKPACK.name));
      assert.equal((await ana.get('/detail/2')).status, 200);
    });
    const requests = (route: string) =>
      change.of('http_request_duration_seconds_count', { method: 'GET', route, status_code: 200 });
    assert.deepEqual([requests('/'), requests('/shop'), requests('/detail/:id')], [1, 1, 2]);
    assert.equal(change.of('http_request_duration_seconds_bucket', { route: '/detail/:id', le: '+Inf' }), 2);
    assert.ok(change.of('http_request_duration_seconds_sum', { route: '/detail/:id' }) > 0);
    assert.equal(change.of('shop_product_views_total', { product: BACKPACK.slug }), 1);
    assert.equal(change.of('shop_cart_additions_total'), 0);
    assert.equal(change.of('shop_errors_total'), 0);
  });

  await t.test('a session with an empty cart is no cart session', async () => {
    const scrape = await gaugeBecomes(shop, 'shop_active_sessions', 1);
    assert.equal(scrape.of('shop_active_cart_sessions'), 0);
  });

  await t.test('three adds count three', async () => {
    const change = await changeBy(shop, async () => {
      for (let i = 0; i < 3; i++) {
        const page = await ana.post(`/add_to_cart/${BACKPACK.id}`, { quantity: 2 });
        assert.deepEqual([page.status, page.location], [302, '/detail/1']);
      }
    });
    const cart = await ana.get('/cart');
    assert.equal(cart.status, 200);
    assert.ok(cart.text.includes(BACKPACK.name));
    assert.equal(change.of('shop_cart_additions_total', { product: BACKPACK.slug }), 3);
    assert.equal(change.of('shop_cart_additions_total'), 3);
    assert.equal(change.of('shop_cart_units_added_total', { product: BACKPACK.slug }), 6);
    const insert = { operation: 'insert', table: 'cart_items' };
    assert.equal(change.of('shop_db_operation_duration_seconds_count', insert), 3);
    assert.equal(
      change.of('http_request_duration_seconds_count', { method: 'POST', route: '/add_to_cart/:id', status_code: 302 }),
      3,
    );
    await gaugeBecomes(shop, 'shop_active_cart_sessions', 1);
  });

  await t.test('a second visitor with a cart is a second cart session', async () => {
    const bruno = shop.visitor();
    await bruno.get('/');
    await bruno.post('/add_to_cart/2', { quantity: 1 });
    await gaugeBecomes(shop, 'shop_active_cart_sessions', 2);
    await removeItem(bruno);
    await gaugeBecomes(shop, 'shop_active_cart_sessions', 1);
  });

  await t.test('the page after an add says so once', async () => {
    const bruno = shop.visitor();
    const { location } = await bruno.post('/add_to_cart/1', { quantity: 1 });
    assert.match((await bruno.get(location ?? '')).text, /Produto adicionado/);
    assert.doesNotMatch((await bruno.get('/')).text, /Produto adicionado/);
    await removeItem(bruno);
  });

  await t.test('each error counts once under its type and route', async () => {
    const change = await changeBy(shop, async () => {
      assert.equal((await ana.get('/no/such/page')).status, 404);
      assert.equal((await ana.get('/detail/999')).status, 404);
      assert.equal((await ana.post('/add_to_cart/1', { quantity: -5 })).status, 422);
      assert.equal((await ana.post('/checkout', { ...CUSTOMER, email: 'nobody' })).status, 422);
      assert.equal((await ana.post('/checkout', { ...CUSTOMER, card_number: DECLINED_CARD })).status, 422);
      assert.equal((await ana.post('/add_to_cart/1', { quantity: 1 }, { 'sec-fetch-site': 'cross-site' })).status, 403);
    });
    assert.equal(change.of('shop_errors_total', { type: 'not_found', route: 'unmatched' }), 1);
    assert.equal(change.of('shop_errors_total', { type: 'not_found', route: '/detail/:id' }), 1);
    assert.equal(change.of('shop_errors_total', { type: 'validation', route: '/add_to_cart/:id' }), 1);
    assert.equal(change.of('shop_errors_total', { type: 'validation', route: '/checkout' }), 1);
    assert.equal(change.of('shop_errors_total', { type: 'payment_declined', route: '/checkout' }), 1);
    assert.equal(change.of('shop_errors_total', { type: 'forbidden', route: '/add_to_cart/:id' }), 1);
    assert.equal(change.of('shop_errors_total'), 6);
    assert.equal(change.of('shop_orders_total', { outcome: 'declined' }), 1);
    assert.equal(change.of('shop_cart_additions_total'), 0);
  });

  await t.test('an order ends the cart session, counts the sale and takes the stock', async () => {
    const form = await ana.get('/checkout');
    assert.equal(form.status, 200);
    const { cart } = hiddenFields(form);
    assert.ok(cart);
    let confirmation = '';
    const change = await changeBy(shop, async () => {
      const page = await ana.post('/checkout', { ...CUSTOMER, cart });
      assert.equal(page.status, 302, page.text);
      confirmation = page.location ?? '';
    });
    assert.match(confirmation, /^\/order_confirmation\/FS-[A-Z2-7]{16}$/);
    assert.equal(change.of('shop_orders_total', { outcome: 'paid' }), 1);
    assert.equal(change.of('shop_payments_total', { method: 'card', outcome: 'approved' }), 1);
    assert.equal(change.of('shop_units_sold_total', { product: BACKPACK.slug }), 6);
    assert.equal(change.of('shop_order_value_brl_total'), (6 * BACKPACK.cents + SHIPPING_CENTS) / 100);
    assert.equal(change.of('shop_db_operation_duration_seconds_count', { operation: 'insert', table: 'orders' }), 1);
    for (const phase of ['validate', 'reserve', 'payment', 'commit']) {
      assert.equal(change.of('shop_checkout_phase_duration_seconds_count', { phase }), 1, phase);
    }
    assert.equal(change.of('shop_errors_total'), 0);
    await gaugeBecomes(shop, 'shop_active_cart_sessions', 0);

    const page = await ana.get(confirmation);
    assert.equal(page.status, 200);
    assert.ok(page.text.includes(BACKPACK.name));
    assert.equal((await backpack()).stock, stock - 6);
    const order = await knex('orders').first();
    assert.equal(order.subtotal_cents, 6 * BACKPACK.cents);
    assert.equal(order.shipping_cents, SHIPPING_CENTS);
    assert.equal(order.total_cents, 6 * BACKPACK.cents + SHIPPING_CENTS);
    assert.deepEqual(await knex('carts').where('id', order.cart_id).pluck('status'), ['ordered']);
  });

  await t.test('a repeated submit finds its order and counts no second one', async () => {
    const change = await changeBy(shop, async () => {
      const { location } = await ana.post('/checkout', CUSTOMER);
      assert.equal(location, `/order_confirmation/${(await knex('orders').first()).number}`);
    });
    assert.equal(change.of('shop_orders_total', { outcome: 'paid' }), 0);
    assert.equal(change.of('shop_order_value_brl_total'), 0);
    assert.equal(change.of('shop_checkout_phase_duration_seconds_count', { phase: 'payment' }), 0);
    assert.equal(change.of('shop_errors_total'), 0);
  });

  await t.test('load raises the CPU gauge of the workers and opens database connections', async () => {
    let done = false;
    const load = Array.from({ length: 8 }, async () => {
      // A connection for each request, so that both workers get some.
      while (!done) await shop.visitor().get('/cart', { connection: 'close' });
    });
    try {
      await until('worker 1 uses a twentieth of a core and a connection is in use', async () => {
        const scrape = await shop.metrics();
        return (
          scrape.of('shop_cpu_usage_ratio', { worker: 1 }) > 0.05 &&
          scrape.of('shop_db_connections', { state: 'active' }) >= 1
        );
      });
    } finally {
      done = true;
      await Promise.all(load);
    }
    const scrape = await shop.metrics();
    assert.equal(scrape.of('shop_db_connections_max'), 2 * 10);
    for (const quantile of [0.5, 0.9, 0.95, 0.99]) {
      const seconds = scrape.samples.find(
        ({ name, labels }) =>
          name === 'shop_db_operation_duration_seconds' &&
          labels.table === 'carts' &&
          labels.operation === 'select' &&
          Number(labels.quantile) === quantile,
      );
      assert.ok(seconds && seconds.value > 0 && seconds.value < 5, `quantile ${quantile}`);
    }
  });

  await t.test('the counts of a killed worker are kept', async () => {
    const before = await shop.metrics();
    const { workers } = await shop.status();
    process.kill(workers[0]?.pid as number, 'SIGKILL');
    await until('the place is filled again', async () => {
      const status = await shop.status();
      return status.workers.every(({ state }) => state === 'serving') && status.workers[0]?.restarts === 1;
    });
    const change = (await shop.metrics()).since(before);
    assert.equal(change.of('shop_cart_additions_total'), 0);
    assert.equal(change.of('http_request_duration_seconds_count'), 0);
    assert.equal(change.of('shop_errors_total', { type: 'worker_crash' }), 1);
    assert.equal(change.of('shop_worker_restarts_total', { reason: 'signal' }), 1);
  });
});

async function removeItem(visitor: Visitor): Promise<void> {
  const [, item] = /\/remove_item\/(\d+)/.exec((await visitor.get('/cart')).text) ?? [];
  assert.equal((await visitor.post(`/remove_item/${item}`, {})).status, 302);
}
