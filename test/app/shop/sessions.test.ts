import assert from 'node:assert/strict';
import { createHmac, randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { startShop, type TestShop } from '../../support/shop.ts';
import { CUSTOMER, type Page } from '../../support/visitor.ts';
import { until, whenDone } from '../../support/wait.ts';

const cookieOf = (setCookie: string[]) => setCookie.map((line) => line.split(';', 1)[0]).join('; ');

/** Sends the cookie back until the visit is noted. Then the visits before it are noted too. */
async function noteVisits(shop: TestShop): Promise<void> {
  const visitor = shop.visitor();
  const first = await visitor.get('/contact');
  const { id } = contentOf(first.headers.getSetCookie());
  await visitor.get('/contact');
  await until('a visit is noted', () => shop.knex('sessions').where({ id }).first());
  await shop.knex('sessions').where({ id }).delete();
}

function contentOf(setCookie: string[]): { id: string; cart?: number } {
  const value = /^fake_shop_[\da-f]{8}=([^;]+)/.exec(setCookie.join('\n'))?.[1] ?? '';
  return JSON.parse(Buffer.from(value, 'base64').toString());
}

test('the cookie is signed, holds an id and the count of the cart, and a visitor has a row once it comes back', async (t) => {
  const shop = await startShop(t);
  const response = await fetch(`${shop.origin}/`);
  const lines = response.headers.getSetCookie();

  assert.equal(lines.length, 2);
  for (const line of lines) {
    assert.match(line, /; httponly/i);
    assert.match(line, /; samesite=lax/i);
    assert.doesNotMatch(line, /; secure/i);
  }
  const data = contentOf(lines);
  assert.deepEqual(Object.keys(data).sort(), ['_expire', '_maxAge', 'cart', 'id']);
  assert.equal(data.cart, 0);
  await noteVisits(shop);
  assert.deepEqual(await shop.knex('sessions'), [], 'a client that keeps no cookie has no row');

  for (const path of ['/shop', '/shop', '/']) {
    const page = await fetch(shop.origin + path, { headers: { cookie: cookieOf(lines) } });
    assert.deepEqual(page.headers.getSetCookie(), []);
  }
  await noteVisits(shop);
  assert.deepEqual(await shop.knex('sessions').pluck('id'), [data.id]);
});

test('the cookie counts the cart after each change, and a wrong count is mended by the cart and the checkout', async (t) => {
  const shop = await startShop(t);
  const shopper = shop.visitor();
  const countAfter = async (page: Promise<Page>) => contentOf((await page).headers.getSetCookie()).cart;
  assert.equal(await countAfter(shopper.post('/add_to_cart/1', { quantity: 3 })), 3);
  assert.equal(await countAfter(shopper.post('/add_to_cart/2', { quantity: 4 })), 7);
  const [first, second] = await shop.knex('cart_items').orderBy('id').pluck('id');
  assert.equal(await countAfter(shopper.post(`/update_quantity/${first}`, { quantity: 1 })), 5);
  assert.equal(await countAfter(shopper.post(`/remove_item/${second}`, {})), 1);
  await shopper.get('/');

  for (const [path, quantity] of Object.entries({ '/cart': 8, '/checkout': 9 })) {
    // By another tab, whose answer has not come yet.
    await shop.knex('cart_items').update({ quantity });
    assert.doesNotMatch((await shopper.get('/')).text, new RegExp(`class="badge">${quantity}<`));
    const mended = await shopper.get(path);
    assert.match(mended.text, new RegExp(`class="badge">${quantity}<`));
    assert.equal(contentOf(mended.headers.getSetCookie()).cart, quantity);
    assert.match((await shopper.get('/')).text, new RegExp(`class="badge">${quantity}<`));
  }

  await shop.knex('cart_items').update({ quantity: 10 });
  const again = await shopper.post('/checkout', { ...CUSTOMER, zip: 'x' });
  assert.equal(again.status, 422);
  assert.match(again.text, /class="badge">10</);
  assert.equal(contentOf(again.headers.getSetCookie()).cart, 10);

  assert.equal(await countAfter(shopper.post('/checkout', { ...CUSTOMER, cart: randomUUID() })), 10);
  assert.equal(await countAfter(shopper.post('/checkout', CUSTOMER)), 0);
  assert.doesNotMatch((await shopper.get('/')).text, /class="badge"/);
});

test('a cookie without a count learns it with one query, and has it from then on', async (t) => {
  const key = 'the key of the shop';
  const shop = await startShop(t, { sessionKeys: [key] });
  const bought = await addOne(shop);
  const lines = bought.headers.getSetCookie();
  const { id } = contentOf(lines);
  const name = lines[0]?.split('=', 1)[0] as string;
  const value = Buffer.from(JSON.stringify({ id, _expire: Date.now() + 1e9, _maxAge: 1e9 })).toString('base64');
  const signature = createHmac('sha1', key).update(`${name}=${value}`).digest('base64url');
  const former = { headers: { cookie: `${name}=${value}; ${name}.sig=${signature}` } };

  const queries = async () =>
    (await shop.metrics()).of('shop_db_operation_duration_seconds_count', { operation: 'select', table: 'carts' });
  const before = await queries();
  const unseen = await fetch(`${shop.origin}/contact`, { method: 'HEAD', ...former });
  assert.deepEqual(unseen.headers.getSetCookie(), []);
  assert.equal(await queries(), before + 1);
  const page = await fetch(`${shop.origin}/contact`, former);
  assert.match(await page.text(), /class="badge">1</);
  assert.equal(await queries(), before + 2);
  const renewed = page.headers.getSetCookie();
  assert.deepEqual([contentOf(renewed).id, contentOf(renewed).cart], [id, 1]);

  const later = await fetch(`${shop.origin}/contact`, { headers: { cookie: cookieOf(renewed) } });
  assert.match(await later.text(), /class="badge">1</);
  assert.deepEqual(later.headers.getSetCookie(), []);
  assert.equal(await queries(), before + 2);
});

test('an add that is stored after its deadline is counted by the next page', async (t) => {
  const shop = await startShop(t, { options: { deadlineMs: 500 } });
  const shopper = shop.visitor();
  await shopper.post('/add_to_cart/1', { quantity: 1 });
  await shopper.get('/contact');
  const lock = await shop.knex.transaction();
  whenDone(t, () => lock.rollback());
  await lock('carts').forUpdate();
  const late = await shopper.post('/add_to_cart/2', { quantity: 5 });
  assert.equal(late.status, 503);
  assert.equal(contentOf(late.headers.getSetCookie()).cart, undefined);
  await lock.commit();
  await until('it is stored', async () => (await shop.knex('cart_items')).length === 2);
  assert.match((await shopper.get('/contact')).text, /class="badge">6</);
  const refused = await shopper.post('/add_to_cart/1', { quantity: 0 });
  assert.equal(refused.status, 422);
  assert.deepEqual(refused.headers.getSetCookie(), [], 'a refusal changes nothing');
});

/** Adds one unit of a product to the cart of a new visitor, or of the visitor with this cookie. */
function addOne(shop: TestShop, cookie = ''): Promise<Response> {
  const body = new URLSearchParams({ quantity: '1' });
  return fetch(`${shop.origin}/add_to_cart/1`, { method: 'POST', redirect: 'manual', headers: { cookie }, body });
}

test('two shops on one host keep their own carts, and the instances of one shop share theirs', async (t) => {
  const shop = await startShop(t, { sessionKeys: ['the keys of one shop'] });
  const other = await startShop(t, { sessionKeys: ['the keys of the other'] });
  const instance = await shop.another({ sessionKeys: ['the keys of one shop'] });
  // A browser sends the cookies of a host to all of its ports.
  const browser = shop.visitor();
  await browser.post('/add_to_cart/1', { quantity: 3 });
  await browser.post(`${other.origin}/add_to_cart/2`, { quantity: 5 });
  await browser.get(`${instance.origin}/`);
  for (const { origin, units } of [
    { origin: shop.origin, units: 3 },
    { origin: other.origin, units: 5 },
    { origin: instance.origin, units: 3 },
  ]) {
    assert.match((await browser.get(`${origin}/cart`)).text, new RegExp(`class="badge">${units}<`), origin);
  }
});

test('the shop uses the cookie that it signed, of several with one name', async (t) => {
  const key = 'the key of the shop';
  const shop = await startShop(t, { sessionKeys: [key] });
  const bought = await addOne(shop);
  // The first page shows the message of the purchase, so that later pages have no reason to set a cookie.
  const first = await fetch(`${shop.origin}/`, { headers: { cookie: cookieOf(bought.headers.getSetCookie()) } });
  const own = cookieOf(first.headers.getSetCookie());
  const name = own.split('=', 1)[0] as string;
  const foreign = [`${name}=e30=; ${name}.sig=${'A'.repeat(27)}`, `${name}="x"`, `${name}.sig=y`, `${name}=`];
  const manyForeign = Array.from({ length: 30 }, (_, i) => `${name}=${i}; ${name}.sig=${i}`).join('; ');
  for (const cookie of [
    own,
    ...foreign.flatMap((other) => [`${other}; ${own}`, `${own}; ${other}`]),
    `${manyForeign}; ${own}`,
  ]) {
    const page = await fetch(`${shop.origin}/cart`, { headers: { cookie } });
    assert.match(await page.text(), /class="badge">1</, cookie);
    assert.deepEqual(page.headers.getSetCookie(), [], cookie);
  }
});

test('a foreign cookie of the new name does not hide the cart of an earlier key', async (t) => {
  const [old, fresh] = ['the key of last year, long enough', 'the key of this year, long enough'];
  const before = await startShop(t, { sessionKeys: [old] });
  const after = await before.another({ sessionKeys: [fresh, old] });
  const earlier = cookieOf((await addOne(before)).headers.getSetCookie());
  const newest = cookieOf((await fetch(`${after.origin}/`)).headers.getSetCookie());
  const name = newest.split('=', 1)[0] as string;
  assert.ok(!earlier.includes(name));
  for (const foreign of [`${name}=e30=; ${name}.sig=${'A'.repeat(27)}`, `${name}=e30=`, `${name}.sig=x`, `${name}=`]) {
    for (const cookie of [`${foreign}; ${earlier}`, `${earlier}; ${foreign}`]) {
      const page = await fetch(`${after.origin}/cart`, { headers: { cookie } });
      assert.match(await page.text(), /class="badge">1</, cookie);
      assert.match(page.headers.getSetCookie().join('\n'), new RegExp(`^${name}=.*expires=`, 'im'), cookie);
    }
  }
});

test('the carts of version 1.0.0 are kept under the new cookie name', async (t) => {
  const key = 'the key of the shop';
  const shop = await startShop(t, { sessionKeys: [key] });
  const [id] = await shop
    .knex('sessions')
    .insert({ id: shop.knex.raw('gen_random_uuid()') })
    .returning('id');
  const value = Buffer.from(JSON.stringify({ ...id, _expire: Date.now() + 1e9, _maxAge: 1e9 })).toString('base64');
  const signature = createHmac('sha1', key).update(`fake_shop=${value}`).digest('base64url');
  const cookie = `fake_shop=${value}; fake_shop.sig=${signature}`;

  const bought = await addOne(shop, cookie);
  const lines = bought.headers.getSetCookie();
  assert.match(lines.join('\n'), /^fake_shop_[\da-f]{8}=.*expires=/im);
  const page = await fetch(`${shop.origin}/cart`, { headers: { cookie: cookieOf(lines) } });
  assert.match(await page.text(), /class="badge">1</);
  assert.equal((await shop.knex('sessions')).length, 1);

  const foreign = `${lines[0]?.split('=', 1)[0]}=x`;
  const besideForeign = await fetch(`${shop.origin}/cart`, { headers: { cookie: `${foreign}; ${cookie}` } });
  assert.match(await besideForeign.text(), /class="badge">1</);
});

test('neither a HEAD nor a prefetch changes anything', async (t) => {
  const shop = await startShop(t);
  const paths = ['/', '/shop', '/detail/1', '/contact', '/cart', '/checkout'];
  const asks: RequestInit[] = [
    { method: 'HEAD' },
    { headers: { 'sec-purpose': 'prefetch' } },
    { headers: { 'sec-purpose': 'prefetch;prerender' } },
    { headers: { purpose: 'prefetch' } },
  ];
  const askForAll = async (more: Record<string, string>) => {
    for (const path of paths) {
      for (const { method = 'GET', headers } of asks) {
        const init: RequestInit = { method, headers: { ...headers, ...more }, redirect: 'manual' };
        const answer = await fetch(`${shop.origin}${path}`, init);
        assert.deepEqual(answer.headers.getSetCookie(), [], `${method} ${path}`);
        assert.ok(answer.status === 200 || (path === '/checkout' && answer.status === 302), `${method} ${path}`);
        await answer.text();
      }
    }
  };
  await askForAll({});
  await noteVisits(shop);
  assert.equal((await shop.knex('sessions')).length, 0);

  const bought = await addOne(shop);
  const cookie = cookieOf(bought.headers.getSetCookie());
  await shop.knex('sessions').update({ last_seen_at: shop.knex.raw("now() - interval '1 hour'") });
  const [before] = await shop.knex('sessions');
  await askForAll({ cookie });
  await noteVisits(shop);
  assert.deepEqual(await shop.knex('sessions'), [before]);
  assert.equal((await shop.metrics()).of('shop_product_views_total'), 0);
  const shown = await fetch(`${shop.origin}/detail/1`, { headers: { cookie } });
  assert.match(await shown.text(), /Produto adicionado ao carrinho/);
  assert.equal((await shop.metrics()).of('shop_product_views_total'), 1);
});

test('a HEAD or a prefetch that fails sets no cookie', async (t) => {
  const shop = await startShop(t);
  const [line = ''] = (await fetch(shop.origin)).headers.getSetCookie();
  const name = line.split('=', 1)[0];
  // Koa takes back a cookie whose signature is wrong.
  const cookie = `${name}=e30=; ${name}.sig=${'A'.repeat(27)}`;
  for (const path of ['/detail/99999', '/order_confirmation/x']) {
    for (const init of [{ method: 'HEAD', headers: { cookie } }, { headers: { cookie, purpose: 'prefetch' } }]) {
      const answer = await fetch(shop.origin + path, init);
      assert.equal(answer.status, 404);
      assert.deepEqual(answer.headers.getSetCookie(), []);
    }
  }
});

test('health checks, files and unknown addresses store no session', async (t) => {
  const shop = await startShop(t);
  const headers = { cookie: cookieOf((await fetch(shop.origin)).headers.getSetCookie()) };
  for (const path of ['/livez', '/readyz', '/static/shop.css', '/wp-admin']) {
    const answer = await fetch(shop.origin + path, { headers });
    assert.deepEqual(answer.headers.getSetCookie(), []);
  }
  await noteVisits(shop);
  assert.equal((await shop.knex('sessions')).length, 0);
});

test('a visit is noted again only when the last note is old', async (t) => {
  const shop = await startShop(t);
  const shopper = shop.visitor();
  await shopper.post('/add_to_cart/1', { quantity: 1 });
  const [added] = await shop.knex('sessions');
  await shopper.get('/');
  await noteVisits(shop);
  assert.deepEqual(await shop.knex('sessions'), [added]);

  await shop.knex('sessions').update({ last_seen_at: shop.knex.raw("now() - interval '1 minute'") });
  const [old] = await shop.knex('sessions');
  await shopper.get('/');
  await until('the visit is noted', async () => (await shop.knex('sessions').first()).last_seen_at > old.last_seen_at);
});

test('a forged, foreign or broken cookie is a new visitor, not an error', async (t) => {
  const shop = await startShop(t);
  const owner = shop.visitor();
  await owner.post('/add_to_cart/1', { quantity: 3 });
  const [session] = await shop.knex('sessions');
  const forged = Buffer.from(JSON.stringify({ id: session.id, _expire: 9e15, _maxAge: 1e9 })).toString('base64');
  const cookies = [
    `fake_shop=${forged}`,
    `fake_shop=${forged}; fake_shop.sig=AAAAAAAAAAAAAAAAAAAAAAAAAAA`,
    `fake_shop=${forged}; fake_shop.sig=`,
    'fake_shop=%00; fake_shop.sig=%00',
    `fake_shop=${'A'.repeat(4000)}; fake_shop.sig=x`,
    'fake_shop={}; fake_shop.sig={}',
    `fake_shop=${session.id}`,
  ];
  for (const cookie of cookies) {
    const response = await fetch(`${shop.origin}/cart`, { headers: { cookie } });
    assert.equal(response.status, 200, cookie);
    assert.match(await response.text(), /vazio/, cookie);
  }
});

test('visitors stay logged in after a change of keys, and the old key can be removed later', async (t) => {
  const [old, fresh] = ['the key of last year, long enough', 'the key of this year, long enough'];
  const before = await startShop(t, { sessionKeys: [old] });
  const between = await before.another({ sessionKeys: [fresh, old] });
  const after = await before.another({ sessionKeys: [fresh] });
  const shopper = before.visitor();
  await shopper.post('/add_to_cart/1', { quantity: 3 });
  await shopper.get('/');

  const rotated = await shopper.get(`${between.origin}/cart`);
  assert.match(rotated.text, /class="badge">3</);
  const lines = rotated.headers.getSetCookie();
  assert.ok(lines.length >= 2 && lines.every((line) => /expires=/i.test(line)), lines.join('\n'));
  assert.match((await shopper.get(`${after.origin}/cart`)).text, /class="badge">3</);
});

test('a session whose row was deleted is stored again', async (t) => {
  const shop = await startShop(t);
  const shopper = shop.visitor();
  await shopper.post('/add_to_cart/1', { quantity: 1 });
  const ids = await shop.knex('sessions').pluck('id');
  await shop.knex('sessions').delete();
  assert.equal((await shopper.post('/add_to_cart/1', { quantity: 1 })).status, 302);
  assert.deepEqual(await shop.knex('sessions').pluck('id'), ids);
  await shop.knex('sessions').delete();
  const worker = await shop.another();
  await shopper.get(`${worker.origin}/`);
  await until('the session is stored', () => shop.knex('sessions').where('id', ids[0]).first());
});
