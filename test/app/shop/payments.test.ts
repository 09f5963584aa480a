import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Knex } from 'knex';
import type { PaymentRequest } from '../../../src/payments/gateway.ts';
import { type AbandonedPaymentsOptions, settleAbandonedPayments } from '../../../src/payments/settle.ts';
import { openPaymentProvider } from '../../../src/payments/simulated.ts';
import { addToCart } from '../../../src/shop/cart/queries.ts';
import { activity, openPool, testDatabase } from '../../support/database.ts';
import { silentLog as log } from '../../support/log.ts';
import { testProvider } from '../../support/payments.ts';
import { dump, PATIENCE, startShop, type TestShop } from '../../support/shop.ts';
import { PATIENT } from '../../support/test-server.ts';
import { atCheckout, CUSTOMER, DECLINED_CARD, hiddenFields, type Visitor } from '../../support/visitor.ts';
import { until, whenDone } from '../../support/wait.ts';

const setPrice = (shop: TestShop, price_cents: number) =>
  shop.knex('products').where({ id: 1 }).update({ price_cents });

test('a checkout whose total the form did not show, for another price or more units, is refused and not charged', async (t) => {
  const payments = testProvider();
  const shop = await startShop(t, { payments });
  const { shopper, hidden } = await atCheckout(shop);
  await setPrice(shop, 500_000);
  await shopper.post('/add_to_cart/1', { quantity: 2 });
  const before = await dump(shop.knex);

  const refused = await shopper.post('/checkout', { ...CUSTOMER, ...hidden });

  assert.equal(refused.status, 409);
  assert.match(refused.text, /O total do pedido mudou, e agora é R\$\s15\.010,00/);
  assert.match(refused.text, /Nada foi cobrado/);
  assert.ok(refused.text.includes(CUSTOMER.address1), 'what was typed is still there');
  assert.equal(await dump(shop.knex), before);
  assert.deepEqual([payments.asked, await shop.knex('payments')], [[], []]);
  const again = hiddenFields(refused);
  assert.deepEqual(again, { ...hidden, total_cents: '1501000' });

  assert.match((await shopper.post('/checkout', { ...CUSTOMER, ...again })).location ?? '', /^\/order_confirmation\//);
  assert.deepEqual(await shop.knex('orders').pluck('total_cents'), [1_501_000]);
  assert.deepEqual(await shop.knex('payments').select('amount_cents', 'state'), [
    { amount_cents: 1_501_000, state: 'ordered' },
  ]);
  const metrics = await shop.metrics();
  assert.equal(metrics.of('shop_errors_total', { type: 'conflict', route: '/checkout' }), 1);
  assert.equal(metrics.of('shop_orders_total'), 1, 'the form that was too old is no attempt');
});

test('a repeated submit finds its order, even if prices have changed', async (t) => {
  const shop = await startShop(t);
  const { shopper, hidden } = await atCheckout(shop);
  const { location } = await shopper.post('/checkout', { ...CUSTOMER, ...hidden });
  await setPrice(shop, 1);
  assert.equal((await shopper.post('/checkout', { ...CUSTOMER, ...hidden })).location, location);
});

test('every amount except the total is a wrong total', async (t) => {
  const { shopper, hidden } = await atCheckout(await startShop(t));
  for (const total of ['0', '1', '9'.repeat(16), '9'.repeat(19)]) {
    const refused = await shopper.post('/checkout', { ...CUSTOMER, ...hidden, total_cents: total });
    assert.equal(refused.status, 409, total);
    assert.equal(hiddenFields(refused).total_cents, hidden.total_cents, 'the form shows the total');
  }
});

test('a total that is no amount is refused, and a missing one is accepted', async (t) => {
  const shop = await startShop(t);
  const { shopper, hidden } = await atCheckout(shop);
  const before = await dump(shop.knex);
  for (const total of ['', '-1', 'abc', '1e5', '25990.00', '025990', ' 25990', '9'.repeat(40), 'NaN']) {
    const refused = await shopper.post('/checkout', { ...CUSTOMER, ...hidden, total_cents: total });
    assert.equal(refused.status, 422, total);
    assert.match(refused.text, /O total não confere/);
  }
  assert.equal(await dump(shop.knex), before);
  assert.deepEqual(await shop.knex('payments'), []);
  assert.equal((await shopper.post('/checkout', { ...CUSTOMER, cart: hidden.cart })).status, 302);
});

test('the reserved cart is charged and ordered, even if products and cart change while the provider answers', async (t) => {
  let shopper: Visitor | undefined;
  const payments = testProvider({
    async authorize() {
      await setPrice(shop, 900_000);
      for (const product of [1, 2]) {
        assert.equal((await shopper?.post(`/add_to_cart/${product}`, { quantity: 3 }))?.status, 302);
      }
      return { approved: true };
    },
  });
  const shop = await startShop(t, { payments });
  await setPrice(shop, 1_000);
  const form = await atCheckout(shop, 2);
  ({ shopper } = form);

  const { location } = await shopper.post('/checkout', { ...CUSTOMER, ...form.hidden });

  assert.match(location ?? '', /^\/order_confirmation\//);
  assert.deepEqual(await shop.knex('orders').select('subtotal_cents', 'total_cents'), [
    { subtotal_cents: 2_000, total_cents: 3_000 },
  ]);
  assert.deepEqual(await shop.knex('order_items').select('product_id', 'unit_price_cents', 'quantity'), [
    { product_id: 1, unit_price_cents: 1_000, quantity: 2 },
  ]);
  assert.deepEqual(await shop.knex('payments').pluck('amount_cents'), [3_000]);
  const next = await shop
    .knex('cart_items')
    .join('carts', 'carts.id', 'cart_items.cart_id')
    .where('carts.status', 'open')
    .orderBy('product_id')
    .select('product_id', 'quantity');
  assert.deepEqual(
    next,
    [
      { product_id: 1, quantity: 3 },
      { product_id: 2, quantity: 3 },
    ],
    'what came too late is in the next cart',
  );
  assert.match((await shopper.get('/contact')).text, /class="badge">6</);
});

test('units that are added while the order waits for the cart are in the next cart', async (t) => {
  const { connection } = await testDatabase(t);
  const other = openPool(t, connection, { deadlines: PATIENT });
  let adding: Knex.Transaction | undefined;
  const payments = testProvider({
    async authorize() {
      adding = await other.transaction();
      const [cart] = await adding('carts').where({ status: 'open' }).forUpdate().select('id', 'session_id');
      await addToCart(adding, { sessionId: cart.session_id, productId: 1, quantity: 3 });
      return { approved: true };
    },
  });
  const shop = await startShop(t, { payments, database: openPool(t, connection) });
  const { shopper, hidden } = await atCheckout(shop, 2);

  const ordering = shopper.post('/checkout', { ...CUSTOMER, ...hidden });
  await until('the order waits', async () => activity(other).where({ wait_event_type: 'Lock' }).first('pid'));
  await adding?.commit();

  assert.match((await ordering).location ?? '', /^\/order_confirmation\//);
  assert.deepEqual(await other('order_items').pluck('quantity'), [2]);
  const next = await other('cart_items')
    .join('carts', 'carts.id', 'cart_items.cart_id')
    .where({ status: 'open' })
    .pluck('quantity');
  assert.deepEqual(next, [3]);
  assert.match((await shopper.get('/contact')).text, /class="badge">3</);
});

test('amounts may exceed 2^31 cents, up to the greatest that a payment can have', async (t) => {
  const payments = testProvider();
  const shop = await startShop(t, { payments });
  await setPrice(shop, 25_000_000);
  const dear = await atCheckout(shop, 99);
  const { location } = await dear.shopper.post('/checkout', { ...CUSTOMER, ...dear.hidden });
  const confirmation = await dear.shopper.get(location ?? '');
  assert.match(confirmation.text, /R\$\s24\.750\.010,00/);
  assert.deepEqual(await shop.knex('orders').pluck('total_cents'), [99 * 25_000_000 + 1_000]);
  assert.equal((await shop.metrics()).of('shop_order_value_brl_total'), 24_750_010);

  for (const price of [999_999_999_000, Number.MAX_SAFE_INTEGER]) {
    await setPrice(shop, price);
    const { shopper } = await atCheckout(shop, 1);
    const refused = await shopper.post('/checkout', CUSTOMER);
    assert.equal(refused.status, 409, refused.text);
    assert.match(refused.text, /passa de R\$\s9\.999\.999\.999,99/);
  }
  assert.equal(payments.asked.length, 1);
  await setPrice(shop, 999_999_998_999);
  assert.equal((await (await atCheckout(shop)).shopper.post('/checkout', CUSTOMER)).status, 302);
});

test('ids may exceed 2^31', async (t) => {
  const shop = await startShop(t);
  const sequences = ['categories', 'products', 'cart_items', 'orders'].map((table) => `${table}_id_seq`);
  for (const sequence of sequences) await shop.knex.raw('select setval(?, 2147483647)', [sequence]);
  const { id: _, slug: __, ...copy } = await shop.knex('products').where({ id: 1 }).first();
  const [product] = await shop
    .knex('products')
    .insert({ ...copy, slug: 'nova' })
    .returning('id');
  assert.equal(product.id, 2 ** 31);

  const shopper = shop.visitor();
  await until('the worker shows it', async () => (await shopper.get(`/detail/${product.id}`)).status === 200);
  for (const id of [1, product.id])
    assert.equal((await shopper.post(`/add_to_cart/${id}`, { quantity: 1 })).status, 302);
  const [first, second] = await shop.knex('cart_items').orderBy('id').pluck('id');
  assert.ok(first >= 2 ** 31);
  assert.equal((await shopper.post(`/update_quantity/${first}`, { quantity: 5 })).status, 302);
  assert.equal((await shopper.post(`/remove_item/${second}`, {})).status, 302);
  const { location } = await shopper.post('/checkout', CUSTOMER);
  assert.match((await shopper.get(location ?? '')).text, /Mochila Urbana/);
  assert.deepEqual(await shop.knex('orders').pluck('id'), [2 ** 31]);
});

test('a payment is committed without its card before the provider is asked, and ends in a final state', async (t) => {
  const seen: unknown[] = [];
  const payments = testProvider({
    async authorize({ reference, card }: PaymentRequest) {
      seen.push(...(await shop.knex('payments').where({ reference }).select('state', 'amount_cents', 'cart_id')));
      return { approved: card.number !== DECLINED_CARD };
    },
  });
  const shop = await startShop(t, { payments });
  const { shopper, hidden } = await atCheckout(shop);
  const row = { state: 'started', amount_cents: Number(hidden.total_cents), cart_id: hidden.cart };
  assert.equal((await shopper.post('/checkout', { ...CUSTOMER, card_number: DECLINED_CARD })).status, 422);
  assert.equal((await shopper.post('/checkout', CUSTOMER)).status, 302);
  assert.deepEqual(seen, [row, row]);
  const kept = await shop.knex('payments').orderBy('created_at');
  assert.deepEqual(
    kept.map(({ state }) => state),
    ['declined', 'ordered'],
  );
  assert.deepEqual(await shop.knex('orders').pluck('payment_reference'), [kept[1].reference]);
  assert.doesNotMatch(JSON.stringify(kept), /42424242|ANA SOUZA/);
});

test('no connection is held while the provider answers, so one serves all, and a repeated submit waits', async (t) => {
  const { connection } = await testDatabase(t);
  const database = openPool(t, connection, { poolMax: 1, deadlines: PATIENT });
  const answers: (() => void)[] = [];
  const payments = testProvider({
    authorize: () => new Promise((resolve) => answers.push(() => resolve({ approved: true }))),
  });
  const shop = await startShop(t, { ...PATIENCE, database, payments });
  const [one, two] = [await atCheckout(shop), await atCheckout(shop)];
  const submits = [one, two, one, one].map(({ shopper, hidden }) =>
    shopper.post('/checkout', { ...CUSTOMER, ...hidden }),
  );
  await until('two payments are asked for', () => answers.length === 2);
  // At once: each has its deadline.
  for (const answer of answers) answer();

  const [first, other, ...repeated] = (await Promise.all(submits)).map(({ location }) => location);
  assert.match(`${first} ${other}`, /^\/order_confirmation\/\S+ \/order_confirmation\/\S+$/);
  assert.deepEqual(repeated, [first, first]);
  assert.equal(payments.asked.length, 2);
  assert.equal((await shop.visitor().get('/detail/1')).status, 200);
});

test('orders are rehearsed while the disk may be full, and a double submit and the last unit end as usual', async (t) => {
  const diskSpace = { isLacking: () => false, isInDoubt: () => true, stop() {} };
  const shop = await startShop(t, { diskSpace });
  await shop.knex('products').update({ stock: 1 });
  const [one, two] = [await atCheckout(shop), await atCheckout(shop)];
  const submits = [one, one, one, two, two].map(({ shopper, hidden }) =>
    shopper.post('/checkout', { ...CUSTOMER, ...hidden }),
  );
  const answers = await Promise.all(submits);
  const places = [answers.slice(0, 3), answers.slice(3)].map((all) => all.map(({ status }) => status).join());
  assert.deepEqual(
    places.toSorted(),
    places[0] === '302,302,302' ? ['302,302,302', '409,409'] : ['302,302', '409,409,409'],
  );
  assert.equal(new Set(answers.filter(({ status }) => status === 302).map(({ location }) => location)).size, 1);
  assert.deepEqual(await shop.knex('products').where({ id: 1 }).pluck('stock'), [0]);
  assert.equal((await shop.knex('orders')).length, 1);
});

/** Settles payments once, as a primary does. */
async function settleNow(
  shop: TestShop,
  options: Partial<AbandonedPaymentsOptions>,
  deadWorker?: string,
): Promise<number> {
  let failed = 0;
  const left = settleAbandonedPayments({
    database: shop.knex,
    payments: testProvider(),
    log,
    stateOf: () => 'dead',
    onFailedOrder: () => {
      failed += 1;
    },
    ...options,
  });
  if (deadWorker) left.workerDied(deadWorker);
  await until(
    'nothing is left',
    async () => !(await shop.knex('payments').whereIn('state', ['started', 'approved']).first()),
  );
  await left.stop();
  return failed;
}

for (const [when, settleIt] of [
  [
    'its worker is taken for dead',
    (shop: TestShop, payments: AbandonedPaymentsOptions['payments']) => settleNow(shop, { payments }, 'test'),
  ],
  [
    'it is too old',
    async (shop: TestShop, payments: AbandonedPaymentsOptions['payments']) => {
      await shop.knex.raw("update payments set created_at = now() - interval '16 seconds'");
      return settleNow(shop, { payments, stateOf: () => 'alive' });
    },
  ],
] as const) {
  test(`a payment that a primary has settled, because ${when}, makes no order when its worker goes on`, async (t) => {
    let counted: number | undefined;
    const payments = testProvider({
      async authorize() {
        counted = await settleIt(shop, payments);
        return { approved: true };
      },
    });
    const shop = await startShop(t, { payments });
    const { shopper, hidden } = await atCheckout(shop);
    assert.equal((await shopper.post('/checkout', { ...CUSTOMER, ...hidden })).status, 503);
    await until('it is given back once more', () => payments.cancelled.length === 2);
    assert.deepEqual(await shop.knex('payments').pluck('state'), ['cancelled']);
    assert.deepEqual(await shop.knex('orders'), []);
    assert.equal(counted, when === 'it is too old' ? 0 : 1, 'a living worker counts its own attempts');
    assert.equal((await shop.metrics()).of('shop_orders_total', { outcome: 'failed' }), 1);
  });
}

test('a payment that is given up while its worker is paused is counted once the worker is dead, unless it was counted already', async (t) => {
  const shop = await startShop(t);
  const references = ['counted before', 'counted after', 'not counted'];
  await shop.knex('payments').insert(
    references.map((reference) => ({
      reference,
      cart_id: shop.knex.raw('gen_random_uuid()'),
      amount_cents: 500,
      state: 'started',
      worker: 'still',
      created_at: shop.knex.raw("now() - interval '16 seconds'"),
    })),
  );
  let state: 'alive' | 'dead' = 'alive';
  let failed = 0;
  const left = settleAbandonedPayments({
    database: shop.knex,
    payments: testProvider(),
    log,
    stateOf: () => state,
    onFailedOrder: () => {
      failed += 1;
    },
  });
  left.orderCounted('counted before');
  await until('all are settled', async () => (await shop.knex('payments').where('state', 'cancelled')).length === 3);
  left.orderCounted('counted after');
  assert.equal(failed, 0, 'a living worker counts its own attempts');
  state = 'dead';
  left.workerDied('still');
  await until('the last one is counted', () => failed > 0);
  left.workerDied('still');
  await left.stop();
  assert.equal(failed, 1);
});

test('any number of primaries settle each payment that is left once, and try again when the provider fails', async (t) => {
  const shop = await startShop(t);
  const references = Array.from({ length: 50 }, (_, i) => `pay_${i}`);
  const { hidden } = await atCheckout(shop);
  await shop.knex('payments').insert(
    references.map((reference) => ({
      reference,
      cart_id: shop.knex.raw('gen_random_uuid()'),
      amount_cents: hidden.total_cents,
      state: 'approved',
      worker: 'gone',
    })),
  );
  let counted = 0;
  const broken = testProvider({ cancel: () => Promise.reject(new Error('provider down')) });
  const first = settleAbandonedPayments({
    database: shop.knex,
    payments: broken,
    log,
    stateOf: () => 'dead',
    onFailedOrder: () => {
      counted += 1;
    },
  });
  first.workerDied('gone');
  await until('all are tried', () => broken.cancelled.length === references.length);
  // They are tried again and not counted again.
  await shop.knex.raw("update payments set given_up_at = now() - interval '16 seconds'");
  await until('all are tried again', () => broken.cancelled.length === 2 * references.length);
  await first.stop();
  assert.equal(counted, references.length);
  assert.equal((await shop.knex('payments').where('state', 'cancelled')).length, 0);

  await shop.knex.raw("update payments set given_up_at = now() - interval '16 seconds'");
  const well = testProvider();
  const others = Array.from({ length: 4 }, () => settleNow(shop, { payments: well, stateOf: () => 'foreign' }));
  const failed = await Promise.all(others);
  assert.deepEqual(well.cancelled.toSorted(), references.toSorted());
  assert.deepEqual(failed, [0, 0, 0, 0], 'their own primary counts');
});

test('the simulated provider decides a reference once and remembers the answer for all processes', async (t) => {
  const { connection, knex } = await testDatabase(t);
  const [one, two] = [openPaymentProvider(connection, log, PATIENT), openPaymentProvider(connection, log, PATIENT)];
  whenDone(t, () => Promise.all([one.close(), two.close()]));
  const card = { holder: 'ANA SOUZA', number: '4242424242424242', expires: new Date(), cvv: '123' };
  const signal = new AbortController().signal;
  const ask = (provider: typeof one, reference: string, number = card.number) =>
    provider.authorize({ reference, amountCents: 500, card: { ...card, number }, installments: 1 }, signal);

  assert.equal(await one.find('a'), null);
  assert.deepEqual(await ask(one, 'a'), { approved: true });
  assert.deepEqual(await ask(two, 'a', DECLINED_CARD), { approved: true });
  assert.deepEqual(await ask(one, 'b', DECLINED_CARD), { approved: false });
  await two.cancel('a');
  await two.cancel('a');
  await two.cancel('b');
  await two.cancel('never asked for');
  for (const reference of ['a', 'never asked for']) await assert.rejects(ask(one, reference), /was cancelled/);
  assert.deepEqual(await Promise.all(['a', 'b', 'never asked for'].map(one.find)), [
    'cancelled',
    'declined',
    'cancelled',
  ]);
  const left = new AbortController();
  const late = one.authorize({ reference: 'c', amountCents: 500, card, installments: 1 }, left.signal);
  left.abort();
  await assert.rejects(late);
  await until('the approval is stored, claimed or not', async () => (await two.find('c')) === 'approved');
  assert.doesNotMatch(JSON.stringify(await knex('simulated_provider_payments')), /42424242|ANA|123/);
});
