import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Exposition } from '@techcommerce/cluster-metrics/testing';
import { type RunningCluster, startCluster } from '../support/cluster.ts';
import { CUSTOMER, DECLINED_CARD } from '../support/visitor.ts';
import { until } from '../support/wait.ts';

const BACKPACK = { id: 1, slug: 'mochila-urbana' };
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

/** Does something and gives the exact change of the metrics, scraped right after the last response. */
async function changeBy(shop: RunningCluster, act: () => Promise<unknown>) {
  const before = await shop.metrics();
  await act();
  return (await shop.metrics()).since(before);
}

/** Gauges are at most a second old: waits until one says so. */
function gaugeBecomes(shop: RunningCluster, name: string, value: number): Promise<Exposition> {
  return until(`${name} is ${value}`, async () => {
    const scrape = await shop.metrics();
    return scrape.of(name) === value && scrape;
  });
}

test("a customer's way through the shop moves each of the seven metrics by what happened", async (t) => {
  const shop = await startCluster(t, { workers: 2 });
  const ana = shop.visitor();

  await t.test('before the first visit everything is there, at 0', async () => {
    const scrape = await shop.metrics();
    for (const name of SEVEN) assert.ok(scrape.has(name), name);
    assert.equal(scrape.samples.filter(({ name }) => name === 'shop_cart_additions_total').length, PRODUCTS);
    assert.equal(scrape.of('shop_cart_additions_total'), 0);
    assert.equal(scrape.of('shop_errors_total'), 0);
    assert.equal(scrape.of('http_request_duration_seconds_count'), 0);
    assert.equal(scrape.of('shop_active_cart_sessions'), 0);
    for (const worker of ['primary', '1', '2']) assert.ok(scrape.has('shop_cpu_usage_ratio', { worker }), worker);
    for (const state of ['active', 'idle', 'pending']) assert.ok(scrape.has('shop_db_connections', { state }), state);
  });

  await t.test('browsing: the histogram counts each page under its template', async () => {
    const change = await changeBy(shop, async () => {
      assert.equal((await ana.get('/')).status, 200);
      assert.equal((await ana.get('/shop?q=mochila')).status, 200);
      assert.equal((await ana.get('/detail/1')).status, 200);
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
    assert.ok(change.of('shop_db_operation_duration_seconds_count', { operation: 'select', table: 'products' }) >= 4);
  });

  await t.test('an empty cart is no cart session', async () => {
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
    assert.equal(change.of('shop_cart_additions_total', { product: BACKPACK.slug }), 3);
    assert.equal(change.of('shop_cart_additions_total'), 3);
    assert.equal(change.of('shop_cart_units_added_total', { product: BACKPACK.slug }), 6);
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
    const [, item] = /\/remove_item\/(\d+)/.exec((await bruno.get('/cart')).text) ?? [];
    assert.equal((await bruno.post(`/remove_item/${item}`, {})).status, 302);
    await gaugeBecomes(shop, 'shop_active_cart_sessions', 1);
  });

  await t.test('each error counts once, under its type and route', async () => {
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

  await t.test('an order: the cart session ends, the sale is counted, the database was used', async () => {
    let confirmation = '';
    const change = await changeBy(shop, async () => {
      const page = await ana.post('/checkout', CUSTOMER);
      assert.equal(page.status, 302, page.text);
      confirmation = page.location ?? '';
      // A repeated submit finds the order that it made.
      assert.equal((await ana.post('/checkout', CUSTOMER)).location, confirmation);
    });
    assert.match(confirmation, /^\/order_confirmation\/\S+$/);
    assert.equal((await ana.get(confirmation)).status, 200);
    assert.equal(change.of('shop_orders_total', { outcome: 'paid' }), 1);
    assert.equal(change.of('shop_units_sold_total', { product: BACKPACK.slug }), 6);
    assert.equal(change.of('shop_order_value_brl_total'), (6 * 24_990 + 1_000) / 100);
    assert.equal(change.of('shop_db_operation_duration_seconds_count', { operation: 'insert', table: 'orders' }), 1);
    assert.equal(change.of('shop_checkout_phase_duration_seconds_count', { phase: 'payment' }), 1);
    assert.equal(change.of('shop_errors_total'), 0);
    await gaugeBecomes(shop, 'shop_active_cart_sessions', 0);
  });

  await t.test('load raises the CPU gauge of the workers and opens database connections', async () => {
    let done = false;
    const load = Array.from({ length: 8 }, async () => {
      while (!done) await shop.visitor().get('/shop');
    });
    try {
      await until('a worker uses a fifth of a core and a connection is in use', async () => {
        const scrape = await shop.metrics();
        return (
          scrape.of('shop_cpu_usage_ratio', { worker: 1 }) > 0.2 &&
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
          labels.table === 'products' &&
          labels.operation === 'select' &&
          Number(labels.quantile) === quantile,
      );
      assert.ok(seconds && seconds.value > 0 && seconds.value < 5, `quantile ${quantile}`);
    }
  });

  await t.test('a killed worker takes nothing along', async () => {
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
