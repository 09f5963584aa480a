import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startShop } from '../../support/shop.ts';
import { CUSTOMER } from '../../support/visitor.ts';

test('a shopper browses, fills a cart, orders and sees the confirmation', async (t) => {
  const shop = await startShop(t);
  const shopper = shop.visitor();

  const home = await shopper.get('/');
  assert.equal(home.status, 200);
  assert.match(home.text, /<html lang="pt-BR"/);
  const product = await shop.knex('products').where('slug', 'mochila-urbana').first();
  const detail = await shopper.get(`/detail/${product.id}`);
  assert.equal(detail.status, 200);
  assert.ok(detail.text.includes(product.name));

  const added = await shopper.post(`/add_to_cart/${product.id}`, { quantity: 2 });
  assert.equal(added.status, 302);
  assert.equal(added.location, `/detail/${product.id}`);
  const told = await shopper.get(added.location);
  assert.match(told.text, /Produto adicionado/);
  assert.doesNotMatch((await shopper.get('/')).text, /Produto adicionado/);

  const cart = await shopper.get('/cart');
  assert.equal(cart.status, 200);
  assert.ok(cart.text.includes(product.name));

  const form = await shopper.get('/checkout');
  assert.equal(form.status, 200);
  const cartId = /name="cart" value="([^"]+)"/.exec(form.text)?.[1];
  assert.ok(cartId);

  const ordered = await shopper.post('/checkout', { ...CUSTOMER, cart: cartId });
  assert.equal(ordered.status, 302, ordered.text);
  assert.match(ordered.location ?? '', /^\/order_confirmation\/FS-[A-Z2-7]{16}$/);
  const confirmation = await shopper.get(ordered.location ?? '');
  assert.equal(confirmation.status, 200);
  assert.ok(confirmation.text.includes(product.name));

  const after = await shop.knex('products').where('id', product.id).first();
  assert.equal(after.stock, product.stock - 2);
  const order = await shop.knex('orders').first();
  assert.equal(order.subtotal_cents, product.price_cents * 2);
  assert.equal(order.shipping_cents, 1000);
  assert.equal(order.total_cents, product.price_cents * 2 + 1000);
  assert.equal((await shop.knex('carts').where('status', 'open')).length, 0);

  const metrics = await shop.metrics();
  assert.equal(metrics.of('shop_cart_additions_total', { product: 'mochila-urbana' }), 1);
  assert.equal(metrics.of('shop_cart_units_added_total', { product: 'mochila-urbana' }), 2);
  assert.equal(metrics.of('shop_product_views_total', { product: 'mochila-urbana' }), 2);
  assert.equal(metrics.of('shop_orders_total', { outcome: 'paid' }), 1);
  assert.equal(metrics.of('shop_units_sold_total', { product: 'mochila-urbana' }), 2);
  assert.equal(metrics.of('shop_order_value_brl_total'), order.total_cents / 100);
  for (const phase of ['validate', 'reserve', 'payment', 'commit']) {
    assert.equal(metrics.of('shop_checkout_phase_duration_seconds_count', { phase }), 1, phase);
  }
});
