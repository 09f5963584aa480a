import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import type { Knex } from 'knex';
import { CHECKOUT_MS } from '../../../src/deadlines.ts';
import { sumUp } from '../../../src/shop/cart/cart.ts';
import { addToCarts } from '../../../src/shop/cart/queries.ts';
import { parseCheckout } from '../../../src/shop/checkout/form.ts';
import { type FoundCart, type NewOrder, reserveCarts, storeOrders } from '../../../src/shop/checkout/queries.ts';
import { noteVisits } from '../../../src/shop/sessions/queries.ts';
import { openPool, testDatabase } from '../../support/database.ts';
import { testProvider } from '../../support/payments.ts';
import { dump, PATIENCE, startShop, type TestShop } from '../../support/shop.ts';
import { PATIENT } from '../../support/test-server.ts';
import { BACKPACK, CUSTOMER, DECLINED_CARD, type Page, type Visitor } from '../../support/visitor.ts';
import { until, whenDone } from '../../support/wait.ts';

/** The part of its deadline that a wait takes at least: timers and clocks differ a little. */
const LEAST_PART = 0.9;

interface Buyer {
  readonly shopper: Visitor;
  /** The cart's id. */
  readonly cart: string;
}

async function withCart(shop: TestShop, quantity = 1, product = 1): Promise<Buyer> {
  const shopper = shop.visitor();
  const added = await shopper.post(`/add_to_cart/${product}`, { quantity });
  assert.equal(added.status, 302);
  const form = await shopper.get('/checkout');
  const cart = /name="cart" value="([^"]+)"/.exec(form.text)?.[1];
  assert.ok(cart);
  return { shopper, cart };
}

function submit({ shopper, cart }: Buyer): Promise<Page> {
  return shopper.post('/checkout', { ...CUSTOMER, cart });
}

test('a declined card keeps the cart and all of the form except the card', async (t) => {
  const shop = await startShop(t);
  const { shopper, cart } = await withCart(shop, 2);
  const before = await dump(shop.knex);

  const declined = await shopper.post('/checkout', { ...CUSTOMER, cart, card_number: DECLINED_CARD, cvv: '7391' });

  assert.equal(declined.status, 422);
  assert.match(declined.text, /O pagamento foi recusado/);
  assert.ok(declined.text.includes(CUSTOMER.address1));
  // The page lists the test cards, but not in a field. The cart's id may hold any digits.
  assert.doesNotMatch(declined.text.replaceAll(cart, ''), /value="[^"]*(4000|7391|12\/39)/);
  assert.equal(await dump(shop.knex), before);
  const metrics = await shop.metrics();
  assert.equal(metrics.of('shop_orders_total', { outcome: 'declined' }), 1);
  assert.equal(metrics.of('shop_payments_total', { method: 'card', outcome: 'declined' }), 1);
  assert.equal(metrics.of('shop_payments_total'), 1);
  assert.equal(metrics.of('shop_payment_duration_seconds_count', { method: 'card' }), 1);
  assert.equal(metrics.of('shop_errors_total', { type: 'payment_declined', route: '/checkout' }), 1);
  assert.equal(metrics.of('shop_errors_total'), 1);

  assert.equal((await shopper.post('/checkout', { ...CUSTOMER, cart })).status, 302);
});

for (const sendsCart of [true, false]) {
  test(`a submit repeated at once on two workers makes one order, ${sendsCart ? 'with' : 'without'} the cart's id`, async (t) => {
    const one = await startShop(t, PATIENCE);
    const two = await one.another(PATIENCE);
    // Code that runs for the first time is slow.
    await withCart(two);
    const { shopper, cart } = await withCart(one, 2);
    const form = sendsCart ? { ...CUSTOMER, cart } : CUSTOMER;

    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, i) => shopper.post(`${(i % 2 ? one : two).origin}/checkout`, form)),
    );
    answers.push(await shopper.post('/checkout', form));

    const places = new Set(answers.map(({ status, location }) => `${status} ${location}`));
    assert.equal(places.size, 1, [...places].join());
    assert.match([...places].join(), /^302 \/order_confirmation\/FS-/);
    assert.equal((await one.knex('orders')).length, 1);
    const paid = await Promise.all(
      [one, two].map(async (shop) => (await shop.metrics()).of('shop_orders_total', { outcome: 'paid' })),
    );
    assert.equal(
      paid.reduce((sum, count) => sum + count),
      1,
    );
  });
}

test('one of ten shoppers who race for the last unit gets it', async (t) => {
  const one = await startShop(t, PATIENCE);
  const two = await one.another(PATIENCE);
  await one.knex('products').where('id', 1).update({ stock: 1 });
  const racers = await Promise.all(Array.from({ length: 10 }, (_, i) => withCart(i % 2 ? one : two)));

  const answers = await Promise.all(
    racers.map(({ shopper, cart }) => shopper.post('/checkout', { ...CUSTOMER, cart })),
  );

  assert.deepEqual(answers.map(({ status }) => status).sort(), [302, ...Array<number>(9).fill(409)]);
  assert.match(answers.find(({ status }) => status === 409)?.text ?? '', /está esgotado/);
  assert.equal((await one.knex('products').where('id', 1).first()).stock, 0);
  assert.equal((await one.knex('orders')).length, 1);
  assert.equal((await one.knex('carts').where('status', 'open')).length, 9);
});

test('orders of two products in opposite order never block each other', async (t) => {
  const shop = await startShop(t, PATIENCE);
  const buyers = await Promise.all(
    Array.from({ length: 8 }, async (_, i) => {
      const shopper = shop.visitor();
      for (const product of i % 2 ? [3, 4] : [4, 3]) await shopper.post(`/add_to_cart/${product}`, { quantity: 1 });
      return shopper;
    }),
  );
  const answers = await Promise.all(buyers.map((shopper) => shopper.post('/checkout', CUSTOMER)));
  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([302]));
  assert.equal((await shop.knex('orders')).length, buyers.length);
});

test('the checkouts of many visitors share statements, and each has an order and a payment of its own', async (t) => {
  const shop = await startShop(t, PATIENCE);
  const carts = await Promise.all(Array.from({ length: 24 }, (_, i) => withCart(shop, 1 + (i % 3))));
  const before = await shop.metrics();
  const lock = await shop.knex.transaction();
  whenDone(t, () => lock.rollback());
  await lock.raw('lock table payments in share row exclusive mode');

  const sent = Promise.all(carts.map(({ shopper, cart }) => shopper.post('/checkout', { ...CUSTOMER, cart })));
  await until('all have been received', async () => (await shop.metrics()).of('http_requests_in_flight') === 24);
  await lock.rollback();

  assert.deepEqual(new Set((await sent).map(({ status }) => status)), new Set([302]));
  const { rows } = await shop.knex.raw(`
    select carts.id as cart, cart_items.quantity as units, amount_cents::integer - 1000 as cents, payments.state
    from orders join carts on carts.id = orders.cart_id join cart_items on cart_items.cart_id = carts.id
      join payments on payments.reference = orders.payment_reference and payments.cart_id = carts.id
      join order_items on order_items.order_id = orders.id and order_items.quantity = cart_items.quantity`);
  const expected = carts.map(({ cart }, i) => {
    return { cart, units: 1 + (i % 3), cents: (1 + (i % 3)) * BACKPACK.cents, state: 'ordered' };
  });
  const byCart = (a: { cart: string }, b: { cart: string }) => a.cart.localeCompare(b.cart);
  assert.deepEqual(rows.sort(byCart), expected.sort(byCart));
  const change = (await shop.metrics()).since(before);
  assert.equal(change.of('shop_orders_total', { outcome: 'paid' }), 24);
  assert.equal(change.of('shop_payments_total', { method: 'card', outcome: 'approved' }), 24);
  for (const table of ['payments', 'orders']) {
    const statements = change.of('shop_db_operation_duration_seconds_count', { operation: 'insert', table });
    assert.ok(statements > 0 && statements < 24, `${statements} statements into ${table}`);
  }
});

for (const [error, raise, status] of [
  ['an error', "raise 'refused'", 500],
  ['a conflict', "raise exception using errcode = 'serialization_failure'", 503],
] as const) {
  test(`a locked cart, or an order that cannot be stored because of ${error}, holds up and refuses no other checkout`, async (t) => {
    const shop = await startShop(t, PATIENCE);
    const carts = await Promise.all(Array.from({ length: 12 }, () => withCart(shop)));
    const [first, second, locked, refused, soldOut, ...others] = carts;
    assert.ok(first && second && locked && refused && soldOut);
    await shop.knex('products').update({ stock: others.length + 4 });
    await soldOut.shopper.post('/add_to_cart/2', { quantity: 1 });
    await shop.knex.raw(`
      create function refuse() returns trigger language plpgsql as $$ begin ${raise}; end $$;
      create trigger refuse before insert on orders for each row when (new.cart_id = '${refused.cart}') execute function refuse();
      create function sell_out() returns trigger language plpgsql as $$ begin
        update products set stock = 0 where id = 2;
        return null;
      end $$;
      create trigger sell_out after insert on payments for each row when (new.cart_id = '${soldOut.cart}') execute function sell_out()`);
    const lock = await shop.knex.transaction();
    whenDone(t, () => lock.rollback());
    await lock('carts').where('id', locked.cart).forUpdate();

    // The first two have a statement of their own.
    const answers = Promise.all([first, second, refused, soldOut, ...others].map(submit));
    const waiting = submit(locked);
    assert.deepEqual(
      (await answers).map((answer) => answer.status),
      [302, 302, status, 409, ...others.map(() => 302)],
    );
    assert.equal((await shop.knex('orders')).length, others.length + 2);
    await lock.rollback();
    assert.equal((await waiting).status, 302);
    await until('both payments are given back', async () => {
      return (await shop.knex('payments').where('state', 'cancelled')).length === 2;
    });
    const stock = await shop.knex('products').where('id', 1).first('stock');
    assert.equal(stock.stock, 1);
  });
}

test('a payment that another session has locked holds up no other checkout', async (t) => {
  const shop = await startShop(t, PATIENCE);
  const carts = await Promise.all(Array.from({ length: 11 }, () => withCart(shop)));
  const [first, second, locked, ...others] = carts;
  assert.ok(first && second && locked);
  const payment = { reference: 'pay_locked', cart_id: locked.cart, amount_cents: 1, method: 'card', worker: 'other' };
  await shop.knex('payments').insert({ ...payment, state: 'started' });
  const lock = await shop.knex.transaction();
  whenDone(t, () => lock.rollback());
  await lock('payments').where('reference', 'pay_locked').update({ state: 'declined' });

  // The first two have a statement of their own.
  const answers = Promise.all([first, second].map(submit));
  const waiting = submit(locked);
  for (const { status } of [...(await Promise.all(others.map(submit))), ...(await answers)]) assert.equal(status, 302);
  await lock.commit();
  assert.equal((await waiting).status, 302);
});

test('orders that wait for a locked product leave turns to those of other products', async (t) => {
  const shop = await startShop(t, PATIENCE);
  const buyers = await Promise.all(Array.from({ length: 12 }, () => withCart(shop)));
  const other = await withCart(shop, 1, 2);
  const lock = await shop.knex.transaction();
  whenDone(t, () => lock.rollback());
  await lock('products').where('id', 1).forUpdate();

  const waiting = Promise.all(buyers.map(submit));
  await until('all of them are paid and wait', async () => {
    return (await shop.knex('payments').where('state', 'approved')).length === buyers.length;
  });
  assert.equal((await submit(other)).status, 302);
  await lock.rollback();
  for (const { status } of await waiting) assert.equal(status, 302);
});

test('orders of several workers for the same products, and visits, never wait for each other in a circle', async (t) => {
  const { url, knex } = await testDatabase(t);
  await knex('products').update({ stock: 10_000 });
  const pools = Array.from({ length: 5 }, () => openPool(t, { url }, { poolMax: 1, deadlines: PATIENT }));
  const [visits, ...workers] = pools as [Knex, ...Knex[]];
  const parsed = parseCheckout(CUSTOMER);
  assert.ok(parsed.ok);
  const { customer } = parsed;
  const shuffled = <T>(values: readonly T[]) => values.toSorted(() => Math.random() - 0.5);

  async function reserve(): Promise<NewOrder[]> {
    const sessions = Array.from({ length: 12 }, () => randomUUID());
    for (const _ of [1, 2, 3]) {
      const [productId = 1] = shuffled([1, 2, 3, 4, 5, 6]);
      await addToCarts(
        knex,
        sessions.map((sessionId, i) => ({ sessionId, productId: 1 + ((productId + i) % 6), quantity: 1 })),
        'skip',
      );
    }
    const requests = sessions.map((sessionId) => {
      const start = {
        reference: randomUUID(),
        worker: 'a',
        method: 'card',
        totalCents: null,
        installments: 1,
      } as const;
      return { sessionId, cartId: null, start };
    });
    const found = await reserveCarts(knex, requests, 'skip');
    return requests.map(({ sessionId, start: { reference } }) => {
      const { id, items, started } = found.get(sessionId) as FoundCart;
      assert.ok(started);
      return { sessionId, reference, cartId: id, cart: sumUp(items), number: randomUUID(), customer, installments: 1 };
    });
  }

  for (let round = 0; round < 10; round++) {
    const batches = await Promise.all(workers.map(reserve));
    const sessions = batches.flat().map(({ sessionId }) => sessionId);
    await knex('sessions').update({ last_seen_at: knex.raw("now() - interval '1 minute'") });
    const [, ...stored] = await Promise.all([
      noteVisits(visits, shuffled(sessions)),
      ...batches.map((orders, i) => storeOrders(workers[i] as Knex, shuffled(orders), 0)),
    ]);
    const results = stored.flatMap((byCart) => [...byCart.values()]);
    assert.deepEqual(
      results,
      sessions.map(() => ({ stored: true, lateUnits: 0 })),
    );
  }
});

test('an order beyond the stock is refused and changes nothing', async (t) => {
  const shop = await startShop(t);
  const { shopper, cart } = await withCart(shop, 3);
  await shop.knex('products').where('id', 1).update({ stock: 2 });
  const before = await dump(shop.knex);
  const refused = await shopper.post('/checkout', { ...CUSTOMER, cart });
  assert.equal(refused.status, 409);
  assert.match(refused.text, /só restam 2, e você pediu 3/);
  assert.equal(await dump(shop.knex), before);
  assert.equal((await shop.metrics()).of('shop_orders_total', { outcome: 'out_of_stock' }), 1);
});

test('an empty cart cannot be ordered', async (t) => {
  const shop = await startShop(t);
  const shopper = shop.visitor();
  assert.equal((await shopper.get('/checkout')).location, '/cart');
  assert.match((await shopper.get('/cart')).text, /Seu carrinho está vazio/);
  assert.equal((await shopper.post('/checkout', CUSTOMER)).location, '/cart');
  assert.equal((await shop.knex('orders')).length, 0);
});

test("an order is shown to its own session only, and another session's cart can't be ordered", async (t) => {
  const shop = await startShop(t);
  const { shopper, cart } = await withCart(shop);
  const { shopper: stranger, cart: strangersCart } = await withCart(shop);

  assert.equal((await stranger.post('/checkout', { ...CUSTOMER, cart })).location, '/cart');
  assert.equal((await shop.knex('orders')).length, 0);

  const { location } = await shopper.post('/checkout', { ...CUSTOMER, cart });
  assert.ok(location);
  assert.equal((await shopper.get(location)).status, 200);
  assert.equal((await stranger.get(location)).status, 404);
  assert.equal((await shop.visitor().get(location)).status, 404);
  assert.equal((await shopper.get('/order_confirmation/FS-AAAAAAAAAAAAAAAA')).status, 404);
  assert.equal((await shop.knex('carts').where('id', strangersCart).first()).status, 'open');
});

test('every mistake in the form is named, and nothing changes', async (t) => {
  const shop = await startShop(t);
  const { shopper, cart } = await withCart(shop);
  const before = await dump(shop.knex);
  const wrong: [field: string, value: string, message: RegExp][] = [
    ['first_name', ' ', /Preencha/],
    ['last_name', 'x'.repeat(101), /no máximo 100/],
    ['first_name', '4242 4242 4242 4242', /número de um cartão/],
    ['address1', 'cartão 4242-4242-4242-4242, 12/39', /número de um cartão/],
    ['address1', 'x'.repeat(256), /no máximo 255/],
    ['address2', '5105105105105100', /número de um cartão/],
    ['email', '4242424242424242@exemplo.com.br', /número de um cartão/],
    ['email', 'ana@', /e-mail/],
    ['mobile', '123', /celular/],
    ['address1', '', /Preencha/],
    ['city', 'São\u0000Paulo', /caracteres que não podem/],
    ['state', '', /Preencha/],
    ['country', '', /Preencha/],
    ['zip', '1234', /CEP/],
    ['card_name', '', /Preencha/],
    ['card_number', '4242424242424241', /cartão não é válido/],
    ['card_number', '424242', /cartão não é válido/],
    ['card_number', '4'.repeat(300), /no máximo/],
    ['expiry_date', '13/39', /MM\/AA/],
    ['expiry_date', '1339', /MM\/AA/],
    ['expiry_date', '01/20', /vencido/],
    ['cvv', '12', /3 ou 4/],
    ['cvv', '12345', /3 ou 4/],
  ];
  for (const [field, value, message] of wrong) {
    const html = await shopper.post('/checkout', { ...CUSTOMER, cart, [field]: value });
    assert.equal(html.status, 422, field);
    assert.match(html.text, message, field);
    const json = await shopper.post('/checkout', { ...CUSTOMER, cart, [field]: value }, { accept: 'application/json' });
    assert.deepEqual(Object.keys(JSON.parse(json.text).error.fields), [field]);
  }
  const { card_number: _, ...incomplete } = CUSTOMER;
  assert.equal((await shopper.post('/checkout', incomplete)).status, 422);
  assert.equal((await shopper.post('/checkout', { ...CUSTOMER, cart: 'x' })).status, 422);
  assert.equal(await dump(shop.knex), before);
  assert.equal((await shop.metrics()).of('shop_errors_total', { type: 'validation' }), wrong.length * 2 + 2);
});

test("a card's number in any stored field is refused and never shown", async (t) => {
  const shop = await startShop(t);
  const { shopper, cart } = await withCart(shop);
  const before = await dump(shop.knex);
  const strays: Record<string, string>[] = [
    { address2: '4242 4242 4242 4242 12/30 123' },
    { address2: '99424242424242424212' },
    { mobile: '378282246310005' },
    { mobile: '4242424242424242' },
    { mobile: '4222222222222' },
    { mobile: '00378282246310005' },
    { card_name: 'ANA SOUZA 4242.4242.4242.4242' },
    { city: '4242/4242/4242/4242' },
    { state: '4242  4242  4242  4242' },
    { country: '4242\u00a04242\u00a04242\u00a04242' },
    { zip: '4222222222222', country: 'Chile' },
    { address1: 'Rua 10, ４２４２ ４２４２ ４２４２ ４２４２', address2: '' },
    { last_name: '٤٢٤٢٤٢٤٢٤٢٤٢٤٢٤٢' },
    { first_name: 'Ana 4242 4242', last_name: '4242 4242 Souza' },
    { address1: 'Rua das Flores, 10 - 424242', address2: '4242424242, fundos' },
    { number: '4242424242424242', district: 'Centro' },
    { number: '10', district: '4242.4242 4242 4242' },
    { address1: 'Rua das Flores 5105', number: '1051', address2: '0510', district: '5100' },
  ];
  for (const stray of strays) {
    const names = Object.keys(stray).filter((name) => /\p{Nd}{4}/u.test(stray[name] as string));
    const form = { ...CUSTOMER, cart, ...stray };
    const html = await shopper.post('/checkout', form);
    assert.equal(html.status, 422, JSON.stringify(stray));
    for (const name of names) assert.ok(!html.text.includes(stray[name] as string), name);
    assert.match(html.text, /número de um cartão/);
    const json = await shopper.post('/checkout', form, { accept: 'application/json' });
    assert.deepEqual(Object.keys(JSON.parse(json.text).error.fields), names);
  }
  assert.equal(await dump(shop.knex), before);
  assert.equal((await shopper.post('/checkout', { ...CUSTOMER, cart })).status, 302);
});

test('plausible addresses and spellings of a card are accepted', async (t) => {
  const shop = await startShop(t);
  const plausible: Record<string, string>[] = [
    { state: 'CA', zip: '12345', country: 'United States', mobile: '+1 (555) 123-4567' },
    { zip: 'SW1A 1AA', country: 'United Kingdom', state: 'London' },
    { zip: '01310100', country: 'BR', state: 'São Paulo' },
    { card_number: '4242 4242 4242 4242', expiry_date: '12/2039', cvv: '1234' },
    { card_number: '4242-4242-4242-4242', expiry_date: '12 / 39' },
    { expiry_date: '1239' },
    { card_number: '4222222222222', address2: '' },
    { address1: `Rua ${'x'.repeat(251)}`, mobile: '5511912345601' },
    { mobile: '0049 151 24988432' },
    { mobile: '0043 66417144921' },
    { address2: 'entre os números 1000 2000 3000 4001' },
    { first_name: "D'Ávila", last_name: 'Ng', email: 'a+b@exemplo.com.br' },
  ];
  for (const fields of plausible) {
    const { shopper } = await withCart(shop);
    const answer = await shopper.post('/checkout', { ...CUSTOMER, ...fields }, { accept: 'application/json' });
    assert.equal(answer.status, 302, `${JSON.stringify(fields)} ${answer.text}`);
  }
  const { country: _, ...withoutCountry } = CUSTOMER;
  const { shopper } = await withCart(shop);
  assert.equal((await shopper.post('/checkout', withoutCountry)).status, 302);
  assert.equal((await shop.knex('orders').orderBy('id', 'desc').first()).country, 'Brasil');
});

/** The shop's own form: the original's fields, with the house number and the `bairro` in fields of their own. */
const OWN_FORM = { ...CUSTOMER, address1: 'Rua das Flores', number: '10', district: 'Bela Vista' };

test('the house number and the bairro are stored and shown with the address', async (t) => {
  const shop = await startShop(t);
  const addresses: [fields: Record<string, string>, lines: string[]][] = [
    [{}, ['Rua das Flores, 10', 'Apto 2', 'Bela Vista', 'São Paulo – SP', 'CEP 01310-100']],
    [{ number: '', no_number: 'on', zip: '01310100' }, ['Rua das Flores, S/N', 'CEP 01310-100']],
    [{ number: '120 A', address2: '' }, ['Rua das Flores, 120 A', 'Bela Vista']],
  ];
  for (const [fields, lines] of addresses) {
    const { shopper, cart } = await withCart(shop);
    const { location } = await shopper.post('/checkout', { ...OWN_FORM, cart, ...fields });
    const { text } = await shopper.get(location ?? '');
    for (const line of lines) assert.ok(text.includes(`<span>${line}</span>`), line);
    assert.ok(!text.includes('<span>Brasil</span>'));
  }
  const { shopper } = await withCart(shop);
  const { location } = await shopper.post('/checkout', { ...CUSTOMER, country: 'Chile', zip: '8320000' });
  const abroad = (await shopper.get(location ?? '')).text;
  for (const line of ['Rua das Flores, 10', '8320000', 'Chile'])
    assert.ok(abroad.includes(`<span>${line}</span>`), line);
});

test("the postal code fills in the state and a capital's name where they were left empty", async (t) => {
  const shop = await startShop(t);
  const { shopper, cart } = await withCart(shop);
  const empty = { ...OWN_FORM, cart, city: '', state: '' };

  const again = await shopper.post('/checkout', { ...empty, zip: '30140-071', card_number: '1' });
  assert.match(again.text, /name="city" value="Belo Horizonte"/);
  assert.match(again.text, /<option value="MG" selected/);
  const unknown = await shopper.post('/checkout', { ...empty, zip: '13010-000' }, { accept: 'application/json' });
  assert.deepEqual(Object.keys(JSON.parse(unknown.text).error.fields), ['city']);

  assert.equal((await shopper.post('/checkout', empty)).status, 302);
  const { city, state } = await shop.knex('orders').first();
  assert.deepEqual({ city, state }, { city: 'São Paulo', state: 'SP' });
});

test("the shop's own form asks for the number and the bairro, and for a state that has the postal code", async (t) => {
  const shop = await startShop(t);
  const { shopper, cart } = await withCart(shop);
  const wrong: [fields: Record<string, string>, field: string, message: RegExp][] = [
    [{ number: '' }, 'number', /Sem número/],
    [{ number: 'x'.repeat(21) }, 'number', /no máximo 20/],
    [{ district: ' ' }, 'district', /Preencha/],
    [{ state: 'RJ' }, 'zip', /Esse CEP é de São Paulo/],
    [{ zip: '00100-000' }, 'zip', /não existe/],
    [{ zip: '78900-000' }, 'zip', /não existe/],
  ];
  for (const [fields, field, message] of wrong) {
    const answer = await shopper.post('/checkout', { ...OWN_FORM, cart, ...fields }, { accept: 'application/json' });
    assert.equal(answer.status, 422, JSON.stringify(fields));
    const { error } = JSON.parse(answer.text);
    assert.deepEqual(Object.keys(error.fields), [field]);
    assert.match(error.fields[field], message);
  }
  for (const state of ['sp', 'sao paulo', 'São Paulo']) {
    const { shopper } = await withCart(shop);
    assert.equal((await shopper.post('/checkout', { ...OWN_FORM, state })).status, 302, state);
  }
});

test("a form with the original's fields alone is accepted as it always was", async (t) => {
  const shop = await startShop(t);
  for (const fields of [{ state: 'RJ' }, { zip: '00100-000' }, { state: 'São Paulo', city: 'Osasco' }]) {
    const { shopper } = await withCart(shop);
    assert.equal((await shopper.post('/checkout', { ...CUSTOMER, ...fields })).status, 302, JSON.stringify(fields));
  }
  const { shopper } = await withCart(shop);
  const empty = await shopper.post('/checkout', { ...CUSTOMER, state: '' }, { accept: 'application/json' });
  assert.deepEqual(Object.keys(JSON.parse(empty.text).error.fields), ['state']);
});

test('an order is paid in the instalments that were chosen, and the confirmation shows them to the cent', async (t) => {
  const asked: number[] = [];
  const payments = testProvider({
    authorize: async ({ installments }) => {
      asked.push(installments);
      return { approved: true };
    },
  });
  const shop = await startShop(t, { payments });
  // With the shipping, R$ 100.
  await shop.knex('products').where('id', 1).update({ price_cents: 9_000 });
  const bought: [fields: Record<string, string>, shown: RegExp][] = [
    [{}, /1x de R\$\s100,00/],
    [{ installments: '1' }, /1x de R\$\s100,00/],
    [{ installments: '4' }, /4x de R\$\s25,00 sem juros/],
    [{ installments: '3', total_cents: '10000' }, /3x sem juros: 1\sde\sR\$\s33,34 \+ 2\sde\sR\$\s33,33/],
    [{ installments: '10' }, /10x de R\$\s10,00 sem juros/],
  ];
  for (const [fields, shown] of bought) {
    const { shopper } = await withCart(shop);
    const { location } = await shopper.post('/checkout', { ...CUSTOMER, ...fields });
    assert.match((await shopper.get(location ?? '')).text, shown);
  }
  assert.deepEqual(asked, [1, 1, 4, 3, 10]);
  assert.deepEqual(await shop.knex('orders').orderBy('id').pluck('installments'), asked);
});

test('instalments that would be too small or too many are refused, and nothing is charged', async (t) => {
  const payments = testProvider();
  const shop = await startShop(t, { payments });
  await shop.knex('products').where('id', 1).update({ price_cents: 2_500 });
  const { shopper, cart } = await withCart(shop);
  const before = await dump(shop.knex);
  const form = await shopper.get('/checkout');
  assert.match(form.text, /<option value="3">3x sem juros: 2\sde\sR\$\s11,67 \+ 1\sde\sR\$\s11,66</);
  assert.doesNotMatch(form.text, /<option value="4">/);

  for (const total of [{}, { total_cents: '3500' }]) {
    const answer = await shopper.post('/checkout', { ...CUSTOMER, cart, installments: '4', ...total });
    assert.equal(answer.status, 422);
    assert.match(answer.text, /id="installments-error">O total de R\$\s35,00 pode ser pago em até 3x/);
  }
  for (const installments of ['0', '11', '2.5', 'x', '']) {
    const answer = await shopper.post('/checkout', { ...CUSTOMER, cart, installments }, { accept: 'application/json' });
    assert.deepEqual(Object.keys(JSON.parse(answer.text).error.fields), ['installments'], installments);
  }
  assert.deepEqual(payments.asked, []);
  assert.equal(await dump(shop.knex), before);
});

test('text that a shopper types is shown as text', async (t) => {
  const shop = await startShop(t);
  const { shopper } = await withCart(shop);
  const nasty = { first_name: '<script>alert(1)</script>', city: '"><img src=x onerror=alert(1)>' };
  const again = await shopper.post('/checkout', { ...CUSTOMER, ...nasty, zip: 'x' });
  assert.equal(again.status, 422);
  const { location } = await shopper.post('/checkout', { ...CUSTOMER, ...nasty });
  const confirmation = await shopper.get(location ?? '');
  assert.equal(confirmation.status, 200);
  for (const { text } of [again, confirmation]) {
    assert.doesNotMatch(text, /<script>alert|<img src=x/);
    assert.match(text, /&lt;script&gt;alert/);
  }
});

test('a payment provider that hangs or fails causes a 503 and no order, and a late approval is cancelled', async (t) => {
  let approve: ((value: { approved: true }) => void) | undefined;
  let failing = false;
  const payments = testProvider({
    authorize: () => {
      if (failing) return Promise.reject(new Error('provider down'));
      return new Promise((resolve) => {
        approve = resolve;
      });
    },
    cancel: async () => {
      if (payments.cancelled.length === 1) throw new Error('provider down');
    },
  });
  const shop = await startShop(t, { payments });
  const { shopper, cart } = await withCart(shop);
  const before = await dump(shop.knex);

  const startedMs = performance.now();
  const hung = await shopper.post('/checkout', { ...CUSTOMER, cart });
  assert.equal(hung.status, 503);
  assert.ok(performance.now() - startedMs < 4_000, 'the deadline, with time for a busy machine');
  assert.ok(Number(hung.headers.get('retry-after')) > 0);
  approve?.({ approved: true });
  failing = true;
  assert.equal((await shopper.post('/checkout', { ...CUSTOMER, cart })).status, 503);

  const [late, refused] = payments.asked as [string, string];
  await until(
    'both are given back',
    async () => (await shop.knex('payments').where('state', 'cancelled')).length === 2,
  );
  assert.deepEqual(payments.cancelled.toSorted(), [late, late, refused].sort(), 'tried again after a failure');
  assert.equal(await dump(shop.knex), before);
  const metrics = await shop.metrics();
  assert.equal(metrics.of('shop_orders_total', { outcome: 'failed' }), 2);
  assert.equal(metrics.of('shop_payments_total', { method: 'card', outcome: 'failed' }), 2);
  const waited = metrics.of('shop_request_time_seconds_total', { route: '/checkout', spent: 'payment' });
  assert.ok(waited > (LEAST_PART * CHECKOUT_MS.payment) / 1000, `${waited} s`);
  assert.equal(metrics.of('shop_checkout_phase_duration_seconds_count', { phase: 'payment' }), 2);
});

test('other pages are served as usual while the payment provider hangs', async (t) => {
  const payments = testProvider({ authorize: () => new Promise(() => {}) });
  const shop = await startShop(t, { payments });
  const payers = await Promise.all(Array.from({ length: 40 }, () => withCart(shop)));
  const browser = shop.visitor();

  const answers = Promise.all(payers.map(({ shopper, cart }) => shopper.post('/checkout', { ...CUSTOMER, cart })));
  await until('checkouts wait for the provider', () => payments.asked.length > 0);
  for (const page of ['/', '/shop?q=a', '/detail/1', '/cart'])
    assert.equal((await browser.get(page)).status, 200, page);
  for (const { status, headers } of await answers) {
    assert.equal(status, 503);
    assert.ok(Number(headers.get('retry-after')) > 0);
  }

  const asked = payments.asked.length;
  assert.ok(asked < payers.length, 'the others stood in line, and gave up');
  // Requests that were queued before may have been answered by the page's own deadline.
  const metrics = await until('each is known to have failed', async () => {
    const scrape = await shop.metrics();
    return scrape.of('shop_orders_total', { outcome: 'failed' }) === payers.length && scrape;
  });
  assert.equal(metrics.of('shop_errors_total', { route: '/checkout' }), payers.length);
  assert.ok(metrics.of('shop_errors_total', { type: 'overload' }) >= asked);
  assert.equal(metrics.of('shop_errors_total'), payers.length);
  const spent = (on: string) => metrics.of('shop_request_time_seconds_total', { route: '/checkout', spent: on });
  assert.ok(spent('payment') > spent('db_wait'), `payment ${spent('payment')}, db_wait ${spent('db_wait')}`);
  const deadlinesMs = asked * CHECKOUT_MS.payment + (payers.length - asked) * CHECKOUT_MS.line;
  assert.ok(spent('payment') > (LEAST_PART * deadlinesMs) / 1000, `${spent('payment')} s at the provider and in line`);
  assert.match(shop.log(), /32 checkouts were under way/);
  assert.equal((await shop.knex('orders')).length, 0);
  assert.equal((await shop.knex('carts').where('status', 'open')).length, payers.length);
});

test('a payment whose order cannot be written is cancelled, and a failed cancellation hides no other error', async (t) => {
  const payments = testProvider({ cancel: () => Promise.reject(new Error('provider down')) });
  const shop = await startShop(t, { payments });
  const { shopper } = await withCart(shop);
  await shop.knex.raw('alter table orders add constraint refuse check (false)');
  const answer = await shopper.post('/checkout', CUSTOMER);
  assert.equal(answer.status, 500);
  assert.match(shop.log(), /"status":500,.*violates check constraint/);
  await until('the provider is asked to give it back', () => payments.cancelled.includes(payments.asked[0] ?? ''));
  assert.equal((await shop.knex('orders')).length, 0);
  const metrics = await shop.metrics();
  assert.equal(metrics.of('shop_errors_total', { type: 'internal', route: '/checkout' }), 1);
  assert.equal(metrics.of('shop_orders_total', { outcome: 'failed' }), 1);
  assert.ok(!shop.log().includes(CUSTOMER.address1));
});

test('neither this shopper nor the next one waits while the payment for a sold-out product is cancelled', async (t) => {
  let soldOut = true;
  let failCancel = () => {};
  const payments = testProvider({
    authorize: async () => {
      if (soldOut) await shop.knex('products').where('id', 1).update({ stock: 0 });
      return { approved: true };
    },
    cancel: () => {
      if (payments.cancelled.length > 1) return Promise.resolve();
      return new Promise((_resolve, reject) => {
        failCancel = () => reject(new Error('provider down'));
      });
    },
  });
  const shop = await startShop(t, { payments });
  const { shopper: loser } = await withCart(shop);
  const { shopper: next } = await withCart(shop);

  const refused = await loser.post('/checkout', CUSTOMER);
  assert.equal(refused.status, 409, refused.text);
  assert.match(refused.text, /está esgotado/);
  soldOut = false;
  await shop.knex('products').where('id', 1).update({ stock: 1 });
  assert.equal((await next.post('/checkout', CUSTOMER)).status, 302);

  const [lost] = payments.asked;
  await until('it is asked for', () => payments.cancelled.length === 1);
  failCancel();
  await until('it is given back', () => shop.log().includes('its payment is given back'));
  assert.deepEqual(payments.cancelled, [lost, lost]);
  assert.match(shop.log(), new RegExp(`"paymentReference":"${lost}","msg":"the order was not made`));
  const metrics = await shop.metrics();
  assert.equal(metrics.of('shop_orders_total', { outcome: 'out_of_stock' }), 1);
  assert.equal(metrics.of('shop_payments_total', { method: 'card', outcome: 'cancelled' }), 1);
  assert.equal(metrics.of('shop_orders_total', { outcome: 'paid' }), 1);
  assert.equal(metrics.of('shop_orders_total', { outcome: 'failed' }), 0);
});
