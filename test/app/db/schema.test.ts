import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import type { Knex } from 'knex';
import * as pix from '../../../src/db/migrations/0007-pix.ts';
import { testDatabase } from '../../support/database.ts';

const CHECK = '23514';
const UNIQUE = '23505';

async function refused(query: PromiseLike<unknown>, code: string, constraint: string): Promise<void> {
  await assert.rejects(async () => query, { code, constraint });
}

async function openCart(knex: Knex): Promise<{ session: string; cart: string }> {
  const session = randomUUID();
  await knex('sessions').insert({ id: session });
  const [row] = await knex('carts').insert({ session_id: session }).returning<{ id: string }[]>('id');
  assert.ok(row);
  return { session, cart: row.id };
}

/** A charge by Pix that waits for its payment. */
function openPix(knex: Knex, cart: string): Knex.QueryBuilder {
  return knex('payments').insert({
    reference: 'pix',
    cart_id: cart,
    amount_cents: 500,
    method: 'pix',
    worker: 'this',
    state: 'waiting',
  });
}

function order(session: string, cart: string) {
  return {
    number: `FS-${randomUUID()}`,
    cart_id: cart,
    session_id: session,
    status: 'paid',
    subtotal_cents: 5000,
    shipping_cents: 1000,
    total_cents: 6000,
    first_name: 'Ana',
    last_name: 'Souza',
    email: 'ana@example.com',
    mobile: '11999990000',
    address1: 'Rua A, 1',
    city: 'São Paulo',
    state: 'SP',
    country: 'Brasil',
    zip: '01000-000',
    payment_reference: 'p-1',
  };
}

test('a new database holds the catalogue in its order', async (t) => {
  const { knex } = await testDatabase(t);
  const products = await knex('products').orderBy('id').select<{ id: number; slug: string }[]>('id', 'slug');
  assert.deepEqual(
    products.map(({ id }) => id),
    Array.from({ length: 24 }, (_, index) => index + 1),
  );
  assert.ok(products.some(({ slug }) => slug === 'mochila-urbana'));
  assert.deepEqual(await knex('categories').orderBy('position').pluck('position'), [1, 2, 3, 4, 5, 6]);
});

test('names sort as Brazilians sort them', async (t) => {
  const { knex } = await testDatabase(t);
  const { rows } = await knex.raw(
    `select name from (values ('Zebra'), ('Óculos'), ('abajur'), ('Pá')) as t(name) order by name`,
  );
  assert.deepEqual(
    rows.map(({ name }: { name: string }) => name),
    ['abajur', 'Óculos', 'Pá', 'Zebra'],
  );
});

test('a product has a price above zero and a stock of zero or more', async (t) => {
  const { knex } = await testDatabase(t);
  const product = knex('products').where({ id: 1 });
  await refused(product.clone().update({ stock: -1 }), CHECK, 'products_stock_not_negative');
  await refused(product.clone().update({ price_cents: 0 }), CHECK, 'products_price_positive');
  await refused(
    product.clone().update({ slug: knex('products').where({ id: 2 }).select('slug') }),
    UNIQUE,
    'products_slug_key',
  );
});

test('amounts of money are whole cents', async (t) => {
  const { knex } = await testDatabase(t);
  await assert.rejects(async () => knex('products').where({ id: 1 }).update({ price_cents: '19.9' }), {
    code: '22P02',
  });
});

test('a cart holds 1 to 99 of a product, in one row', async (t) => {
  const { knex } = await testDatabase(t);
  const { cart } = await openCart(knex);
  const add = (quantity: number) => knex('cart_items').insert({ cart_id: cart, product_id: 1, quantity });
  for (const quantity of [0, -5, 100]) await refused(add(quantity), CHECK, 'cart_items_quantity_in_range');
  await add(99);
  await refused(add(1), UNIQUE, 'cart_items_one_row_per_product');
});

test('a session has one open cart, and any number of ordered ones', async (t) => {
  const { knex } = await testDatabase(t);
  const { session, cart } = await openCart(knex);
  await refused(knex('carts').insert({ session_id: session }), UNIQUE, 'carts_one_open_per_session');
  await refused(knex('carts').where({ id: cart }).update({ status: 'lost' }), CHECK, 'carts_status_known');
  await knex('carts').insert({ session_id: session, status: 'ordered' });
  await knex('carts').insert({ session_id: session, status: 'ordered' });
});

test("a cart makes one order, and the order's sums add up", async (t) => {
  const { knex } = await testDatabase(t);
  const { session, cart } = await openCart(knex);
  await refused(knex('orders').insert({ ...order(session, cart), total_cents: 5999 }), CHECK, 'orders_total_adds_up');
  await refused(
    knex('orders').insert({ ...order(session, cart), shipping_cents: -1, total_cents: 4999 }),
    CHECK,
    'orders_shipping_not_negative',
  );
  await refused(knex('orders').insert({ ...order(session, cart), status: 'unknown' }), CHECK, 'orders_status_known');
  const [made] = await knex('orders').insert(order(session, cart)).returning<{ id: number }[]>('id');
  await refused(knex('orders').insert(order(session, cart)), UNIQUE, 'orders_one_per_cart');

  const item = { order_id: made?.id, product_id: 1, product_name: 'Mochila', unit_price_cents: 5000 };
  await refused(knex('order_items').insert({ ...item, quantity: 0 }), CHECK, 'order_items_quantity_positive');
  await refused(
    knex('order_items').insert({ ...item, quantity: 1, unit_price_cents: 0 }),
    CHECK,
    'order_items_price_positive',
  );
  await knex('order_items').insert({ ...item, quantity: 1 });
  await refused(knex('order_items').insert({ ...item, quantity: 1 }), UNIQUE, 'order_items_pkey');
});

test('a session is deleted with its carts unless it has ordered', async (t) => {
  const { knex } = await testDatabase(t);
  const browsing = await openCart(knex);
  await knex('cart_items').insert({ cart_id: browsing.cart, product_id: 1, quantity: 1 });
  await knex('sessions').where({ id: browsing.session }).delete();
  assert.deepEqual(await knex('cart_items'), []);

  const buying = await openCart(knex);
  await knex('orders').insert(order(buying.session, buying.cart));
  await assert.rejects(async () => knex('sessions').where({ id: buying.session }).delete(), {
    constraint: 'orders_session_id_fkey',
  });
});

test('one payment of a cart is open at a time, a Pix too, also for the release that knows no Pix', async (t) => {
  const { knex } = await testDatabase(t);
  const { cart } = await openCart(knex);
  const start = (reference: string) =>
    knex.raw(
      `insert into payments (reference, cart_id, amount_cents, worker, state) values (?, ?, 500, 'former', 'started')
       on conflict (cart_id) where state in ('started', 'approved') and given_up_at is null do nothing`,
      [reference, cart],
    );
  await openPix(knex, cart);
  assert.equal((await start('one')).rowCount, 0);
  await knex('payments').update({ state: 'cancelled' });
  assert.equal((await start('two')).rowCount, 1);
  assert.equal((await start('three')).rowCount, 0);
});

test('a Pix that is open when its migration is taken back is left to be given back', async (t) => {
  const { knex } = await testDatabase(t);
  const { cart } = await openCart(knex);
  await openPix(knex, cart);
  await knex.transaction((transaction) => pix.down(transaction));
  assert.deepEqual(await knex('payments').whereNotNull('given_up_at').select('reference', 'state'), [
    { reference: 'pix', state: 'approved' },
  ]);
});
