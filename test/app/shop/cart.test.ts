import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import type { Knex } from 'knex';
import { addToCart, addToCarts, setQuantity } from '../../../src/shop/cart/queries.ts';
import { noteVisits } from '../../../src/shop/sessions/queries.ts';
import { openPool, testDatabase } from '../../support/database.ts';
import { dump, PATIENCE, startShop } from '../../support/shop.ts';
import { PATIENT } from '../../support/test-server.ts';
import { until, whenDone } from '../../support/wait.ts';

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

test('adds of many visitors at once share statements, and each has its own answer', async (t) => {
  const shop = await startShop(t, PATIENCE);
  await shop.knex('products').where('id', 3).update({ stock: 0 });
  const full = shop.visitor();
  await full.post('/add_to_cart/2', { quantity: 99 });
  const before = await shop.metrics();

  const statuses = (answers: { status: number }[]) => [...new Set(answers.map(({ status }) => status))];
  const fromEach = (visitors: number, productId: number, quantity: number) =>
    Promise.all(Array.from({ length: visitors }, () => shop.visitor().post(`/add_to_cart/${productId}`, { quantity })));
  const lock = await shop.knex.transaction();
  whenDone(t, () => lock.rollback());
  await lock.raw('lock table carts in share row exclusive mode');
  const sent = Promise.all([
    fromEach(20, 1, 2),
    fromEach(20, 4, 1),
    fromEach(20, 99_999, 1),
    fromEach(20, 3, 1),
    Promise.all([full.post('/add_to_cart/2', { quantity: 1 })]),
  ]);
  await until('all have been received', async () => (await shop.metrics()).of('http_requests_in_flight') === 81);
  await lock.rollback();
  const answers = await sent;

  assert.deepEqual(answers.map(statuses), [[302], [302], [404], [409], [409]]);
  const { rows } = await shop.knex.raw(`
    select product_id, quantity, count(*)::integer from cart_items group by 1, 2 order by 1, 2`);
  assert.deepEqual(rows, [
    { product_id: 1, quantity: 2, count: 20 },
    { product_id: 2, quantity: 99, count: 1 },
    { product_id: 4, quantity: 1, count: 20 },
  ]);
  assert.equal(await countOf(shop.knex, 'sessions'), 41);
  assert.equal(await countOf(shop.knex, 'carts'), 41);
  const change = (await shop.metrics()).since(before);
  assert.equal(change.of('shop_cart_additions_total'), 40);
  assert.equal(change.of('shop_cart_units_added_total'), 60);
  const statements = change.of('shop_db_operation_duration_seconds_count', {
    operation: 'insert',
    table: 'cart_items',
  });
  // Some may have been read only after the lock was gone, and then share less.
  assert.ok(statements > 0 && statements < 40, `${statements} statements for 81 requests`);
});

test('visitors whose statements wait for a connection have waited for a connection', async (t) => {
  const { connection, knex } = await testDatabase(t);
  const database = openPool(t, connection, { poolMax: 1, deadlines: PATIENT });
  const shop = await startShop(t, { ...PATIENCE, database });
  const held = await database.transaction();
  whenDone(t, () => held.rollback());
  const sent = Promise.all([1, 2, 4, 5, 6].map((id) => shop.visitor().post(`/add_to_cart/${id}`, { quantity: 1 })));
  await until('they wait', async () => (await shop.metrics()).of('http_requests_in_flight') === 5);
  const waitedFrom = performance.now();
  await until('they have waited', () => performance.now() - waitedFrom > 500);
  await held.commit();
  for (const { status } of await sent) assert.equal(status, 302);

  const metrics = await shop.metrics();
  const spent = (on: string) => metrics.of('shop_request_time_seconds_total', { route: '/add_to_cart/:id', spent: on });
  assert.ok(spent('db_wait') > 5 * 0.4, `db ${spent('db')}, db_wait ${spent('db_wait')}`);
  assert.ok(spent('db') < spent('db_wait'), `db ${spent('db')}, db_wait ${spent('db_wait')}`);
  assert.equal(await countOf(knex, 'carts'), 5);
});

test('a refusal of one add refuses no other', async (t) => {
  const shop = await startShop(t, PATIENCE);
  await shop.knex.raw(`
    create function refuse() returns trigger language plpgsql as $$ begin raise 'refused'; end $$;
    create trigger refuse before insert on cart_items for each row when (new.product_id = 2) execute function refuse()`);
  const lock = await shop.knex.transaction();
  whenDone(t, () => lock.rollback());
  await lock.raw('lock table carts in share row exclusive mode');
  const products = [1, 1, 2, 1, 2, 1, 1];
  const sent = Promise.all(products.map((id) => shop.visitor().post(`/add_to_cart/${id}`, { quantity: 1 })));
  await until('all have been received', async () => (await shop.metrics()).of('http_requests_in_flight') === 7);
  await lock.rollback();
  assert.deepEqual(
    (await sent).map(({ status }) => status),
    products.map((id) => (id === 2 ? 500 : 302)),
  );
});

test('a locked cart or product holds up only the visitors who add to it', async (t) => {
  const shop = await startShop(t, PATIENCE);
  const shopper = shop.visitor();
  await shopper.post('/add_to_cart/1', { quantity: 1 });
  const lock = await shop.knex.transaction();
  whenDone(t, () => lock.rollback());
  await lock('carts').forUpdate();
  await lock('products').where('id', 2).forUpdate();

  const heldUp = [
    ...Array.from({ length: 4 }, () => shopper.post('/add_to_cart/4', { quantity: 1 })),
    ...Array.from({ length: 4 }, () => shop.visitor().post('/add_to_cart/2', { quantity: 1 })),
  ];
  await until('eight wait for the rows', async () => {
    return (await shop.metrics()).of('shop_db_connections', { state: 'active' }) === 8;
  });
  const answers = await Promise.all(
    Array.from({ length: 20 }, () => shop.visitor().post('/add_to_cart/1', { quantity: 1 })),
  );
  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([302]));
  assert.equal(await countOf(shop.knex, 'carts'), 21);

  await lock.rollback();
  assert.deepEqual(new Set((await Promise.all(heldUp)).map(({ status }) => status)), new Set([302]));
  const items = await shop.knex('cart_items').whereNot('product_id', 1).select('product_id', 'quantity').orderBy('id');
  assert.deepEqual(
    items.toSorted((a, b) => a.product_id - b.product_id || a.quantity - b.quantity),
    [...Array(4).fill({ product_id: 2, quantity: 1 }), { product_id: 4, quantity: 4 }],
  );
});

test('adds of the same visitors on several workers, and their visits, never wait for each other in a circle', async (t) => {
  const { url, knex } = await testDatabase(t);
  const pools = Array.from({ length: 4 }, () => openPool(t, { url }, { poolMax: 1, deadlines: PATIENT }));
  for (let round = 1; round <= 20; round++) {
    const sessions = Array.from({ length: 30 }, () => randomUUID());
    await noteVisits(knex, sessions.slice(0, 10));
    await knex('sessions').update({ last_seen_at: knex.raw("now() - interval '2 hours'") });
    let added = 0;
    await Promise.all(
      pools.flatMap((pool, i) => {
        const shuffled = sessions.toSorted(() => Math.random() - 0.5);
        if (i % 2) return noteVisits(pool, shuffled);
        return addToCarts(
          pool,
          shuffled.map((sessionId) => ({ sessionId, productId: 1 + (round % 3), quantity: 1 })),
          'skip',
        ).then((additions) => {
          added += additions.size;
        });
      }),
    );
    const quantities: number[] = await knex('cart_items').pluck('quantity');
    assert.equal(
      quantities.reduce((sum, quantity) => sum + quantity),
      added,
    );
    assert.ok(added >= sessions.length, `${added} adds`);
    await knex('sessions').delete();
  }
});

async function countOf(knex: Knex, table: string): Promise<number> {
  const [{ count } = { count: 0 }] = await knex(table).count({ count: '*' });
  return Number(count);
}

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

test('an add says what is in the cart, and an add that is refused changes nothing', async (t) => {
  const { knex } = await testDatabase(t);
  await knex('products').where('id', 3).update({ stock: 0 });
  const session = randomUUID();
  const before = await dump(knex);
  assert.equal(await addToCart(knex, { sessionId: session, productId: 99_999, quantity: 1 }), null);
  assert.equal(await addToCart(knex, { sessionId: session, productId: Number.MAX_SAFE_INTEGER, quantity: 1 }), null);
  assert.equal((await addToCart(knex, { sessionId: session, productId: 3, quantity: 1 }))?.stock, 0);
  assert.equal(await dump(knex), before);

  const [bag, mug] = await knex('products').whereIn('id', [1, 2]).orderBy('id');
  const added = { slug: bag.slug, stock: bag.stock, inCart: 90, cartCount: 90 };
  assert.deepEqual(await addToCart(knex, { sessionId: session, productId: 1, quantity: 90 }), added);
  assert.deepEqual(await addToCart(knex, { sessionId: session, productId: 2, quantity: 5 }), {
    slug: mug.slug,
    stock: mug.stock,
    inCart: 5,
    cartCount: 95,
  });
  assert.deepEqual(await addToCart(knex, { sessionId: session, productId: 1, quantity: 9 }), {
    ...added,
    inCart: 99,
    cartCount: 104,
  });
  const full = await dump(knex);
  assert.equal((await addToCart(knex, { sessionId: session, productId: 1, quantity: 1 }))?.inCart, null);
  assert.equal(await dump(knex), full);

  const [first, second] = await knex('cart_items').orderBy('id').pluck('id');
  assert.equal(await setQuantity(knex, session, first, 7), 12);
  assert.equal(await setQuantity(knex, randomUUID(), first, 8), null);
  assert.equal(await setQuantity(knex, session, second, 0), 7);
  assert.equal(await setQuantity(knex, session, second, 0), null);
  assert.equal(await setQuantity(knex, session, Number.MAX_SAFE_INTEGER, 1), null);
  assert.deepEqual(await knex('cart_items').pluck('quantity'), [7]);
});

test('an add stores the session, and saves one that the cleanup may be about to remove', async (t) => {
  const { knex } = await testDatabase(t);
  const session = randomUUID();
  await addToCart(knex, { sessionId: session, productId: 1, quantity: 1 });
  assert.deepEqual(await knex('sessions').pluck('id'), [session]);
  await knex('sessions').update({ last_seen_at: knex.raw("now() - interval '2 days'") });
  await addToCart(knex, { sessionId: session, productId: 1, quantity: 1 });
  assert.ok(await knex('sessions').whereRaw("last_seen_at > now() - interval '1 minute'").first());
  assert.deepEqual(await knex('cart_items').pluck('quantity'), [2]);
});

test('a cart may hold more than the stock, and the page says so', async (t) => {
  const shop = await startShop(t);
  await shop.knex('products').where('id', 1).update({ stock: 2 });
  const shopper = shop.visitor();
  await shopper.post('/add_to_cart/1', { quantity: 3 });
  assert.match((await shopper.get('/detail/1')).text, /mais unidades no carrinho do que no estoque/);
});

/** The field `from`, and where the shop leads after an add of product 1. */
const RETURNS: readonly (readonly [from: string, location: string])[] = [
  ['/', '/#produto-1'],
  ['/shop', '/shop#produto-1'],
  ['/shop?page=2', '/shop?page=2#produto-1'],
  [
    '/shop?q=m%C3%B4chila+urbana&category=casa&sort=price_asc',
    '/shop?q=m%C3%B4chila+urbana&category=casa&sort=price_asc#produto-1',
  ],
  ['/shop?page=1&sort=featured&x=made-up', '/shop#produto-1'],
  ['/shop?q=%3Cb%3E%0D%0ASet-Cookie', '/detail/1'],
  ['/shop?q=4242424242424242', '/detail/1'],
  ['/shop?q=a&q=b', '/detail/1'],
  ['/shop?page=0', '/detail/1'],
  ['/shop?sort=nenhuma', '/detail/1'],
  ['/shop?q=mochila#other', '/detail/1'],
  ['/shop?q=mochila\r\nX: y', '/detail/1'],
  ['/shop?page=2\n', '/detail/1'],
  ['/detail/2', '/detail/2#produto-1'],
  ['/detail/2/..', '/detail/1'],
  ['/detail/abc', '/detail/1'],
  ['/cart', '/detail/1'],
  ['/shop/', '/detail/1'],
  ['', '/detail/1'],
  ['shop', '/detail/1'],
  ['//example.com', '/detail/1'],
  ['//example.com/shop', '/detail/1'],
  ['/\\example.com', '/detail/1'],
  ['\\\\example.com', '/detail/1'],
  ['/\t/example.com', '/detail/1'],
  ['https://example.com/shop', '/detail/1'],
  ['javascript:alert(1)', '/detail/1'],
];

test('an add leads back to the card that it came from, and to no page that the shop did not write', async (t) => {
  const shop = await startShop(t);
  const shopper = shop.visitor();
  for (const [from, location] of RETURNS) {
    const added = await shopper.post('/add_to_cart/1', { quantity: 1, from });
    assert.equal(added.status, 302, from);
    assert.equal(added.location, location, from);
    assert.ok(!added.text.includes('example.com'), from);
  }
  assert.equal((await shop.metrics()).of('shop_cart_additions_total'), RETURNS.length);
});

test('each card of home, a list, a search and a product leads back to its own place', async (t) => {
  const shop = await startShop(t);
  const shopper = shop.visitor();
  for (const path of ['/', '/shop?page=2', '/shop?category=audio&sort=price_asc', '/shop?q=caneca', '/detail/1']) {
    const { text } = await shopper.get(path);
    const cards = [...text.matchAll(/<article class="card" id="(produto-\d+)".*?<\/article>/g)];
    assert.ok(cards.length > 0, path);
    assert.equal(new Set(cards.map(([, id]) => id)).size, cards.length, path);
    for (const [card, id] of cards) {
      const [, action = ''] = /action="([^"]+)"/.exec(card) ?? [];
      const [, from = ''] = /name="from" value="([^"]+)"/.exec(card) ?? [];
      const added = await shopper.post(action, { quantity: 1, from: from.replaceAll('&amp;', '&') });
      assert.equal(added.location, `${path}#${id}`);
    }
  }
  const list = await shopper.get('/shop?page=2');
  assert.match(list.text, /Produto adicionado ao carrinho/);
});

test('a page that a script reads after an add is no view of a product', async (t) => {
  const shop = await startShop(t);
  const shopper = shop.visitor();
  for (const dest of ['document', 'empty']) await shopper.get('/detail/2', { 'sec-fetch-dest': dest });
  assert.equal((await shop.metrics()).of('shop_product_views_total'), 1);
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
    assert.match(added.text, /Escolha uma quantidade de 1 a 99/);
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
  assert.equal(updated.location, '/cart', 'for a client that sends no `next`');
  assert.match((await shopper.get('/cart')).text, /Quantidade atualizada/);
  assert.deepEqual(await shop.knex('cart_items').orderBy('id').pluck('quantity'), [7, 1]);

  await shopper.post(`/update_quantity/${first.id}`, { quantity: 0 });
  assert.deepEqual(await shop.knex('cart_items').pluck('id'), [second.id]);
  await shopper.post(`/remove_item/${second.id}`, {});
  assert.deepEqual(await shop.knex('cart_items'), []);
  assert.equal((await shopper.post(`/remove_item/${second.id}`, {})).status, 404);
});

test('a change of the cart leads back to its item, and a removal to the neighbour', async (t) => {
  const shop = await startShop(t);
  const shopper = shop.visitor();
  for (const id of [1, 2, 3]) await shopper.post(`/add_to_cart/${id}`, { quantity: 1 });
  const [first, second, third] = await shop.knex('cart_items').orderBy('id').pluck('id');
  const { text } = await shopper.get('/cart');
  const nextOf = (item: number) => new RegExp(`/remove_item/${item}".*?name="next" value="(\\d+)"`).exec(text)?.[1];
  assert.deepEqual([first, second, third].map(nextOf), [second, third, second].map(String));

  const location = async (path: string, fields: Record<string, string | number>) =>
    (await shopper.post(path, fields)).location;
  assert.equal(await location(`/update_quantity/${first}`, { quantity: 2, next: second }), `/cart#item-${first}`);
  for (const next of ['', '0', '1e1', '//example.com', '2#x', '-1']) {
    assert.equal(await location(`/update_quantity/${first}`, { quantity: 2, next }), '/cart', next);
  }
  assert.equal(await location(`/update_quantity/${first}`, { quantity: 0, next: second }), `/cart#item-${second}`);
  assert.equal(await location(`/remove_item/${third}`, { next: second }), `/cart#item-${second}`);
  assert.doesNotMatch((await shopper.get('/cart')).text, /name="next"/);
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
