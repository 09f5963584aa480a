import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dump, PATIENCE, startShop } from '../../support/shop.ts';

test('40 concurrent adds on two workers count 40, from the first one on', async (t) => {
  const one = await startShop(t, PATIENCE);
  const two = await one.another(PATIENCE);
  const shopper = one.visitor();
  await shopper.get('/');

  const answers = await Promise.all(
    Array.from({ length: 40 }, (_, i) => shopper.post(`${(i % 2 ? one : two).origin}/add_to_cart/1`, { quantity: 1 })),
  );

  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([302]));
  assert.deepEqual(await one.knex('cart_items').select('product_id', 'quantity'), [{ product_id: 1, quantity: 40 }]);
  assert.equal((await one.knex('carts')).length, 1);
  const counted = await Promise.all(
    [one, two].map(async (shop) => (await shop.metrics()).of('shop_cart_additions_total')),
  );
  assert.equal(
    counted.reduce((sum, count) => sum + count),
    40,
  );
});

test('a cart holds at most 99 units of a product', async (t) => {
  const shop = await startShop(t);
  const shopper = shop.visitor();
  await shopper.post('/add_to_cart/1', { quantity: 99 });
  const before = await dump(shop.knex);

  const refused = await shopper.post('/add_to_cart/1', { quantity: 1 });

  assert.equal(refused.status, 409);
  assert.match(refused.text, /no máximo 99/);
  assert.equal(await dump(shop.knex), before);
  const metrics = await shop.metrics();
  assert.equal(metrics.of('shop_cart_additions_total'), 1);
  assert.equal(metrics.of('shop_cart_units_added_total'), 99);
  assert.equal(metrics.of('shop_errors_total', { type: 'conflict', route: '/add_to_cart/:id' }), 1);
});

test('a product that is sold out cannot be added', async (t) => {
  const shop = await startShop(t);
  await shop.knex('products').where('id', 1).update({ stock: 0 });
  const refused = await shop.visitor().post('/add_to_cart/1', { quantity: 1 });
  assert.equal(refused.status, 409);
  assert.match(refused.text, /esgotado/);
  assert.equal((await shop.knex('carts')).length, 0);
});

test('a cart may hold more than the stock, and the page says so', async (t) => {
  const shop = await startShop(t);
  await shop.knex('products').where('id', 1).update({ stock: 2 });
  const shopper = shop.visitor();
  await shopper.post('/add_to_cart/1', { quantity: 3 });
  assert.match((await shopper.get('/detail/1')).text, /mais unidades no carrinho do que no estoque/);
});

const WRONG_QUANTITIES = [
  '-5',
  'abc',
  '1e3',
  '0',
  '100',
  `1${'0'.repeat(30)}`,
  '',
  ' 1',
  '1.0',
  '01',
  '+1',
  '٣',
  '1\0',
  '0x1',
];

test('a quantity that is no whole number from 1 to 99 is refused and changes nothing', async (t) => {
  const shop = await startShop(t);
  const shopper = shop.visitor();
  await shopper.post('/add_to_cart/1', { quantity: 3 });
  const [item] = await shop.knex('cart_items');
  const before = await dump(shop.knex);

  for (const quantity of WRONG_QUANTITIES) {
    const added = await shopper.post('/add_to_cart/1', { quantity });
    assert.equal(added.status, 422, quantity);
    assert.match(added.text, /A quantidade deve ser um número inteiro de 1 a 99/);
    // Zero removes the item: another test covers it.
    if (quantity === '0') continue;
    assert.equal((await shopper.post(`/update_quantity/${item.id}`, { quantity })).status, 422, quantity);
  }
  assert.equal((await shopper.post('/add_to_cart/1', {})).status, 422);

  assert.equal(await dump(shop.knex), before);
});

test('a new quantity replaces the old one, and zero or a removal deletes the item', async (t) => {
  const shop = await startShop(t);
  const shopper = shop.visitor();
  await shopper.post('/add_to_cart/1', { quantity: 3 });
  await shopper.post('/add_to_cart/2', { quantity: 1 });
  const [first, second] = await shop.knex('cart_items').orderBy('id');

  const updated = await shopper.post(`/update_quantity/${first.id}`, { quantity: 7 });
  assert.equal(updated.location, '/cart');
  assert.match((await shopper.get('/cart')).text, /Quantidade atualizada/);
  assert.deepEqual(await shop.knex('cart_items').orderBy('id').pluck('quantity'), [7, 1]);

  await shopper.post(`/update_quantity/${first.id}`, { quantity: 0 });
  assert.deepEqual(await shop.knex('cart_items').pluck('id'), [second.id]);
  await shopper.post(`/remove_item/${second.id}`, {});
  assert.deepEqual(await shop.knex('cart_items'), []);
  assert.equal((await shopper.post(`/remove_item/${second.id}`, {})).status, 404);
});

test('a shopper cannot change the cart of another shopper', async (t) => {
  const shop = await startShop(t);
  const [ana, bia] = [shop.visitor(), shop.visitor()];
  await ana.post('/add_to_cart/1', { quantity: 2 });
  await bia.post('/add_to_cart/1', { quantity: 5 });
  const [hers] = await shop.knex('cart_items').where('quantity', 2);
  const before = await dump(shop.knex);

  assert.equal((await bia.post(`/update_quantity/${hers.id}`, { quantity: 9 })).status, 404);
  assert.equal((await bia.post(`/update_quantity/${hers.id}`, { quantity: 0 })).status, 404);
  assert.equal((await bia.post(`/remove_item/${hers.id}`, {})).status, 404);
  const noSession = shop.visitor();
  assert.equal((await noSession.post(`/remove_item/${hers.id}`, {})).status, 404);

  await shop.knex('sessions').whereNotIn('id', shop.knex('carts').select('session_id')).delete();
  assert.equal(await dump(shop.knex), before);
});

test('the badge on every page counts the units in the cart', async (t) => {
  const shop = await startShop(t);
  const shopper = shop.visitor();
  assert.doesNotMatch((await shopper.get('/')).text, /class="badge"/);
  await shopper.post('/add_to_cart/1', { quantity: 3 });
  await shopper.post('/add_to_cart/2', { quantity: 4 });
  for (const path of ['/', '/shop', '/detail/3', '/contact', '/cart', '/checkout', '/detail/99999']) {
    assert.match((await shopper.get(path)).text, /class="badge">7</, path);
  }
});
