import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PaymentState } from '../../../src/payments/gateway.ts';
import { openPaymentProvider } from '../../../src/payments/simulated.ts';
import { testDatabase } from '../../support/database.ts';
import { assertMoneyAddsUp, testProvider } from '../../support/payments.ts';
import { PATIENCE, startShop, type TestShop } from '../../support/shop.ts';
import { log, PATIENT } from '../../support/test-server.ts';
import {
  atCheckout,
  BACKPACK,
  CUSTOMER,
  hiddenFields,
  type Page,
  PIX_BUYER,
  type Visitor,
} from '../../support/visitor.ts';
import { until, whenDone } from '../../support/wait.ts';

const REFERENCE = /^\/pix\/(pay_[\da-f-]{36})$/;

interface OpenPix {
  shopper: Visitor;
  /** Path of its page. */
  path: string;
  reference: string;
}

/** A shopper whose Pix waits to be paid. */
async function atPix(shop: TestShop, quantity = 1): Promise<OpenPix> {
  const { shopper, hidden } = await atCheckout(shop, quantity);
  return { shopper, ...pixOf(await shopper.post('/checkout', { ...PIX_BUYER, ...hidden })) };
}

function pixOf({ status, location, text }: Page): { path: string; reference: string } {
  assert.equal(status, 302, text);
  const [path = '', reference = ''] = REFERENCE.exec(location ?? '') ?? [];
  assert.ok(reference, `${location}`);
  return { path, reference };
}

async function simulate({ shopper, path }: OpenPix, outcome: 'paid' | 'expired'): Promise<void> {
  assert.equal((await shopper.post(`${path}/simulation`, { outcome })).location, path);
}

async function stateOf({ shopper, path }: OpenPix): Promise<{ state: string; secondsLeft: number }> {
  return JSON.parse((await shopper.get(`${path}/state`)).text);
}

/** Everything of the customers that is stored beside orders. */
async function customersOf({ knex }: TestShop): Promise<unknown[]> {
  return knex('pix_charges').whereNotNull('new_order').pluck('new_order');
}

test('a Pix is shown, waits, is paid, and becomes the order that was charged', async (t) => {
  const shop = await startShop(t);
  const pix = await atPix(shop, 2);
  const { shopper, path, reference } = pix;

  const page = await shopper.get(path);
  assert.equal(page.status, 200);
  const [, code = ''] = /<textarea[^>]*>([^<]+)</.exec(page.text) ?? [];
  assert.match(code, new RegExp(`^000201.*5406509\\.80.*0525${reference.replaceAll(/[^a-z\d]/g, '').slice(-25)}6304`));
  assert.ok(page.text.includes('509,80'));
  assert.equal(page.headers.get('cache-control'), 'no-store');
  assert.deepEqual(await shop.knex('payments').select('state', 'method', 'amount_cents'), [
    { state: 'waiting', method: 'pix', amount_cents: 50_980 },
  ]);
  const { state, secondsLeft } = await stateOf(pix);
  assert.equal(state, 'waiting');
  assert.ok(secondsLeft > 0 && secondsLeft <= 300);
  assert.equal((await shop.knex('orders')).length, 0);
  assert.equal((await shop.metrics()).of('shop_payments_total'), 0);

  await simulate(pix, 'paid');
  const { location } = await shopper.get(path);
  assert.match(location ?? '', /^\/order_confirmation\/FS-/);
  const confirmation = await shopper.get(location ?? '');
  assert.ok(confirmation.text.includes(CUSTOMER.address1));
  assert.ok(confirmation.text.includes(BACKPACK.name));
  assert.match(confirmation.text, /<p>Pix<\/p>/);
  assert.equal((await shopper.get(path)).location, location, 'the page goes on leading to the order');
  assert.equal((await stateOf(pix)).state, 'ordered');

  assert.deepEqual(await assertMoneyAddsUp(shop.knex), { ordered: 1 });
  assert.deepEqual(await customersOf(shop), []);
  const metrics = await shop.metrics();
  assert.equal(metrics.of('shop_payments_total', { method: 'pix', outcome: 'approved' }), 1);
  assert.equal(metrics.of('shop_payments_total'), 1);
  assert.equal(metrics.of('shop_payment_duration_seconds_count', { method: 'pix' }), 1);
  assert.equal(metrics.of('shop_orders_total', { outcome: 'paid' }), 1);
  assert.equal(metrics.of('shop_order_value_brl_total'), 509.8);
  assert.equal(metrics.of('shop_units_sold_total', { product: BACKPACK.slug }), 2);
});

test('a Pix that expires keeps the cart, forgets the customer and is counted once', async (t) => {
  const shop = await startShop(t);
  const pix = await atPix(shop);
  assert.equal((await customersOf(shop)).length, 1);
  await simulate(pix, 'expired');

  const pages = await Promise.all(Array.from({ length: 4 }, () => pix.shopper.get(pix.path)));
  for (const { status, text } of pages) {
    assert.equal(status, 200);
    assert.match(text, /O Pix expirou/);
    assert.match(text, /href="\/cart"/);
  }
  assert.equal((await stateOf(pix)).state, 'ended');
  assert.ok((await pix.shopper.get('/cart')).text.includes(BACKPACK.name));
  assert.deepEqual(await assertMoneyAddsUp(shop.knex), { cancelled: 1 });
  assert.deepEqual(await customersOf(shop), []);
  const metrics = await shop.metrics();
  assert.equal(metrics.of('shop_payments_total', { method: 'pix', outcome: 'expired' }), 1);
  assert.equal(metrics.of('shop_payments_total'), 1);
  assert.equal(metrics.of('shop_orders_total'), 0);

  const again = pixOf(await pix.shopper.post('/checkout', PIX_BUYER));
  assert.notEqual(again.reference, pix.reference);
});

test('a Pix whose goods were sold meanwhile is given back, and the page says why', async (t) => {
  const shop = await startShop(t);
  const pix = await atPix(shop);
  await shop.knex('products').where({ id: 1 }).update({ stock: 0 });
  await simulate(pix, 'paid');

  assert.match((await pix.shopper.get(pix.path)).text, /Um produto esgotou/);
  await until('the money is given back', async () => (await assertMoneyAddsUp(shop.knex)).cancelled === 1);
  assert.equal((await shop.knex('orders')).length, 0);
  assert.deepEqual(await shop.knex('products').where({ id: 1 }).pluck('stock'), [0]);
  assert.deepEqual(await customersOf(shop), []);
  const metrics = await shop.metrics();
  assert.equal(metrics.of('shop_payments_total', { method: 'pix', outcome: 'cancelled' }), 1);
  assert.equal(metrics.of('shop_payments_total'), 1);
  assert.equal(metrics.of('shop_orders_total', { outcome: 'out_of_stock' }), 1);
  assert.equal(metrics.of('shop_orders_total'), 1);
});

test('a Pix whose order the database refuses is given back', async (t) => {
  const shop = await startShop(t);
  const pix = await atPix(shop);
  await shop.knex.raw('alter table orders add constraint refuse check (false)');
  await simulate(pix, 'paid');
  assert.equal((await pix.shopper.get(pix.path)).status, 200);
  assert.match((await pix.shopper.get(pix.path)).text, /Não foi possível concluir o pedido/);
  await until('the money is given back', async () => (await assertMoneyAddsUp(shop.knex)).cancelled === 1);
  assert.deepEqual(await customersOf(shop), []);
  const metrics = await shop.metrics();
  assert.equal(metrics.of('shop_payments_total', { method: 'pix', outcome: 'cancelled' }), 1);
  assert.equal(metrics.of('shop_payments_total'), 1);
  assert.equal(metrics.of('shop_orders_total', { outcome: 'failed' }), 1);
  assert.match(shop.log(), /violates check constraint/);
  assert.ok(!shop.log().includes(CUSTOMER.address1));
});

test('a repeated submit shows the same Pix, also when it comes at once on two workers', async (t) => {
  const one = await startShop(t, PATIENCE);
  const two = await one.another(PATIENCE);
  const { shopper, hidden } = await atCheckout(one);
  const form = { ...PIX_BUYER, ...hidden };
  const answers = await Promise.all(
    Array.from({ length: 6 }, (_, i) => shopper.post(`${(i % 2 ? one : two).origin}/checkout`, form)),
  );
  answers.push(await shopper.post('/checkout', form));
  const references = new Set(answers.map((answer) => pixOf(answer).reference));
  assert.equal(references.size, 1, [...references].join());
  assert.deepEqual(await one.knex('payments').pluck('state'), ['waiting']);
});

for (const [what, change] of [
  ['another cart', async ({ shopper }: OpenPix) => void (await shopper.post('/add_to_cart/2', { quantity: 1 }))],
  ['another address', async () => ({ address1: 'Rua Nova, 5' })],
  ['another way to pay', async () => ({ ...CUSTOMER, payment_method: 'card' })],
] as const) {
  test(`a submit with ${what} replaces the Pix, which is paid in vain`, async (t) => {
    const shop = await startShop(t);
    const former = await atPix(shop);
    const fields = await change(former);
    const hidden = hiddenFields(await former.shopper.get('/checkout'));
    const { location } = await former.shopper.post('/checkout', { ...PIX_BUYER, ...hidden, ...fields });
    assert.notEqual(location, former.path);
    await until('it is given up', async () => (await shop.knex('payments').where('state', 'cancelled')).length === 1);
    await simulate(former, 'paid');
    assert.match((await former.shopper.get(former.path)).text, /Este Pix não vale mais/);
    const metrics = await shop.metrics();
    assert.equal(metrics.of('shop_payments_total', { method: 'pix', outcome: 'cancelled' }), 1);

    if (location?.startsWith('/pix/')) {
      await simulate({ ...former, path: location }, 'paid');
      assert.match((await former.shopper.get(location)).location ?? '', /^\/order_confirmation\//);
    }
    assert.deepEqual(await assertMoneyAddsUp(shop.knex), { cancelled: 1, ordered: 1 });
  });
}

test('a Pix that is paid before another submit is given back, so nothing is charged twice', async (t) => {
  const shop = await startShop(t);
  const pix = await atPix(shop);
  await simulate(pix, 'paid');
  assert.match((await pix.shopper.post('/checkout', CUSTOMER)).location ?? '', /^\/order_confirmation\//);
  await until('it is given back', async () => {
    const ends = await assertMoneyAddsUp(shop.knex);
    return ends.cancelled === 1 && ends.ordered === 1;
  });
  assert.equal((await shop.knex('orders')).length, 1);
});

test('another visitor finds neither the Pix, nor its state, nor its simulation', async (t) => {
  const shop = await startShop(t);
  const { path } = await atPix(shop);
  const stranger = (await atCheckout(shop)).shopper;
  assert.equal((await stranger.get(path)).status, 404);
  assert.equal((await stranger.get(`${path}/state`)).status, 404);
  assert.equal((await stranger.post(`${path}/simulation`, { outcome: 'paid' })).status, 404);
  assert.equal((await stranger.get('/pix/4242')).status, 404);
});

test('bad choices are refused and change nothing', async (t) => {
  const shop = await startShop(t);
  const { shopper, path } = await atPix(shop);
  assert.equal((await shopper.post(`${path}/simulation`, { outcome: 'stolen' })).status, 422);
  const refused = await shopper.post('/checkout', { ...CUSTOMER, payment_method: 'boleto' });
  assert.equal(refused.status, 422);
  assert.match(refused.text, /Escolha Pix ou cartão/);
  const incomplete = await shopper.post('/checkout', { ...PIX_BUYER, email: 'ninguém' });
  assert.equal(incomplete.status, 422);
  assert.match(incomplete.text, /value="pix" checked/);
  assert.doesNotMatch(incomplete.text, /dados do cartão\.<|Digite a validade/);
  assert.deepEqual(await shop.knex('payments').pluck('state'), ['waiting']);
});

test('a page that a browser fetches in advance moves no Pix', async (t) => {
  const shop = await startShop(t);
  const pix = await atPix(shop);
  await simulate(pix, 'paid');
  assert.equal((await pix.shopper.get(pix.path, { 'sec-purpose': 'prefetch' })).status, 200);
  assert.deepEqual(await shop.knex('payments').pluck('state'), ['waiting']);
});

test('the script of the page moves the Pix: its order is there with the first answer that says so', async (t) => {
  const shop = await startShop(t);
  const pix = await atPix(shop);
  await simulate(pix, 'paid');
  const { text } = await pix.shopper.get(`${pix.path}/state`, {
    accept: 'application/json',
    'sec-fetch-dest': 'empty',
  });
  assert.equal(JSON.parse(text).state, 'ordered');
  assert.deepEqual(await shop.knex('payments').pluck('state'), ['ordered']);
});

test('the order has the goods and the amount of the charge, although prices and the cart have changed meanwhile', async (t) => {
  const shop = await startShop(t);
  const grown = await atPix(shop, 2);
  await grown.shopper.post('/add_to_cart/1', { quantity: 3 });
  await grown.shopper.post('/add_to_cart/2', { quantity: 1 });
  await shop.knex('products').where({ id: 1 }).update({ price_cents: 99_999 });
  await simulate(grown, 'paid');
  assert.match((await grown.shopper.get(grown.path)).location ?? '', /^\/order_confirmation\//);
  assert.deepEqual(await shop.knex('orders').pluck('total_cents'), [50_980]);
  assert.deepEqual(await shop.knex('order_items').select('product_id', 'quantity'), [{ product_id: 1, quantity: 2 }]);
  const left = shop.knex('cart_items').join('carts', 'carts.id', 'cart_id').where('carts.status', 'open');
  assert.deepEqual(await left.clone().orderBy('product_id').select('product_id', 'quantity'), [
    { product_id: 1, quantity: 3 },
    { product_id: 2, quantity: 1 },
  ]);

  const emptied = await atPix(shop);
  const [item] = await shop
    .knex('cart_items')
    .join('payments', 'payments.cart_id', 'cart_items.cart_id')
    .where({ reference: emptied.reference })
    .pluck('id');
  await emptied.shopper.post(`/remove_item/${item}`, {});
  await simulate(emptied, 'paid');
  assert.match((await emptied.shopper.get(emptied.path)).location ?? '', /^\/order_confirmation\//);
  assert.deepEqual(await assertMoneyAddsUp(shop.knex), { ordered: 2 });
  assert.equal((await shop.metrics()).of('shop_units_sold_total', { product: BACKPACK.slug }), 3);
});

test('a confirmed Pix becomes one order, however many pages and workers follow it at once', async (t) => {
  const one = await startShop(t, PATIENCE);
  const two = await one.another(PATIENCE);
  const pix = await atPix(one);
  await simulate(pix, 'paid');
  const answers = await Promise.all(
    Array.from({ length: 8 }, (_, i) => pix.shopper.get(`${(i % 2 ? one : two).origin}${pix.path}`)),
  );
  const order = await until('a page leads to the order', async () => (await pix.shopper.get(pix.path)).location);
  // A page that had to wait for too long shows the Pix as it was.
  for (const { status, location } of answers) if (status !== 200) assert.equal(location, order);
  assert.deepEqual(await assertMoneyAddsUp(one.knex), { ordered: 1 });
  const counted = async (name: string) => {
    const scrapes = [await one.metrics(), await two.metrics()];
    return scrapes.map((scrape) => scrape.of(name)).reduce((sum, value) => sum + value);
  };
  for (const name of ['shop_orders_total', 'shop_payments_total']) {
    await until(`${name} is counted`, async () => (await counted(name)) > 0);
    assert.equal(await counted(name), 1, name);
  }
});

test('a provider that makes no Pix is a 503, and one that is silent later only delays the order', async (t) => {
  let state: PaymentState = 'waiting';
  let isDown = true;
  const payments = testProvider({
    async find() {
      if (isDown) throw new Error('provider down');
      return state;
    },
  });
  const broken = { ...payments, charge: () => Promise.reject(new Error('provider down')) };
  const shop = await startShop(t, { payments: broken });
  const { shopper, hidden } = await atCheckout(shop);
  assert.equal((await shopper.post('/checkout', { ...PIX_BUYER, ...hidden })).status, 503);
  isDown = false;
  await until('it is settled', async () => (await shop.knex('payments').where('state', 'cancelled')).length === 1);
  const metrics = await shop.metrics();
  assert.equal(metrics.of('shop_payments_total', { method: 'pix', outcome: 'failed' }), 1);
  assert.equal(metrics.of('shop_orders_total', { outcome: 'failed' }), 1);
  assert.deepEqual(await customersOf(shop), []);

  const well = await shop.another({ payments });
  const { path } = pixOf(await shopper.post(`${well.origin}/checkout`, { ...PIX_BUYER, ...hidden }));
  const page = () => shopper.get(well.origin + path);
  isDown = true;
  assert.equal((await page()).status, 200);
  isDown = false;
  const { status, text } = await page();
  assert.equal(status, 200);
  assert.doesNotMatch(text, /Simular/, 'a real provider has nothing to simulate');
  assert.equal((await shopper.post(`${well.origin}${path}/simulation`, { outcome: 'paid' })).status, 404);
  state = 'approved';
  assert.match((await page()).location ?? '', /^\/order_confirmation\//);
});

test('the simulated Pix is paid or expires as its times say, and cannot be paid after it has ended', async (t) => {
  const { connection, knex } = await testDatabase(t);
  const provider = openPaymentProvider(connection, log, PATIENT);
  whenDone(t, () => provider.close());
  const { signal } = new AbortController();
  const charge = (reference: string) => provider.charge({ reference, amountCents: 500 }, signal);
  const pass = (reference: string, seconds: number) =>
    knex('simulated_provider_payments')
      .where({ reference })
      .update({
        pays_at: knex.raw('pays_at - make_interval(secs => ?)', [seconds]),
        expires_at: knex.raw('expires_at - make_interval(secs => ?)', [seconds]),
      });

  const first = await charge('a');
  assert.deepEqual(await charge('a'), first);
  await pass('a', provider.simulation.paidAfterSeconds - 1);
  assert.equal(await provider.find('a'), 'waiting');
  await pass('a', 1);
  assert.equal(await provider.find('a'), 'approved');

  await charge('b');
  await knex('simulated_provider_payments').where({ reference: 'b' }).update({ pays_at: null });
  await pass('b', 300);
  assert.equal(await provider.find('b'), 'cancelled');
  await provider.simulation.pay('b');
  assert.equal(await provider.find('b'), 'cancelled');

  await charge('c');
  await provider.cancel('c');
  await provider.simulation.pay('c');
  assert.equal(await provider.find('c'), 'cancelled');
  await assert.rejects(charge('c'), /was cancelled/);
});
