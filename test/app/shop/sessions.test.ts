import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import { startShop, type TestShop } from '../../support/shop.ts';

const cookieOf = (setCookie: string[]) => setCookie.map((line) => line.split(';', 1)[0]).join('; ');

test('the cookie is signed, holds ids only, and the first page stores the session', async (t) => {
  const shop = await startShop(t);
  const response = await fetch(`${shop.origin}/`);
  const lines = response.headers.getSetCookie();

  assert.equal(lines.length, 2);
  for (const line of lines) {
    assert.match(line, /; httponly/i);
    assert.match(line, /; samesite=lax/i);
    assert.doesNotMatch(line, /; secure/i);
  }
  const value = /^fake_shop_[\da-f]{8}=([^;]+)/.exec(lines.join('\n'))?.[1] ?? '';
  const data = JSON.parse(Buffer.from(value, 'base64').toString());
  const [session] = await shop.knex('sessions');
  assert.deepEqual(Object.keys(data).sort(), ['_expire', '_maxAge', 'id']);
  assert.equal(data.id, session.id);

  await fetch(`${shop.origin}/shop`, { headers: { cookie: cookieOf(lines) } });
  assert.equal((await shop.knex('sessions')).length, 1);
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
  assert.equal((await shop.knex('sessions')).length, 0);

  const bought = await addOne(shop);
  const cookie = cookieOf(bought.headers.getSetCookie());
  await shop.knex('sessions').update({ last_seen_at: shop.knex.raw("now() - interval '1 hour'") });
  const [before] = await shop.knex('sessions');
  await askForAll({ cookie });
  assert.deepEqual(await shop.knex('sessions'), [before]);
  assert.equal((await shop.metrics()).of('shop_product_views_total'), 0);
  const shown = await fetch(`${shop.origin}/detail/1`, { headers: { cookie } });
  assert.match(await shown.text(), /Produto adicionado ao carrinho/);
  assert.equal((await shop.metrics()).of('shop_product_views_total'), 1);
});

test('health checks, files and unknown addresses store no session', async (t) => {
  const shop = await startShop(t);
  for (const path of ['/livez', '/readyz', '/static/shop.css', '/wp-admin']) await fetch(`${shop.origin}${path}`);
  assert.equal((await shop.knex('sessions')).length, 0);
});

test('last_seen_at is written again only when it has become stale', async (t) => {
  const shop = await startShop(t);
  const shopper = shop.visitor();
  await shopper.get('/');
  const seen = async () => (await shop.knex('sessions').first()).last_seen_at.getTime();
  const first = await seen();
  await shopper.get('/');
  assert.equal(await seen(), first);
  await shop.knex('sessions').update({ last_seen_at: shop.knex.raw("now() - interval '1 minute'") });
  await shopper.get('/');
  assert.ok((await seen()) >= first);
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
  await shopper.get('/');
  await shop.knex('sessions').delete();
  assert.equal((await shopper.post('/add_to_cart/1', { quantity: 1 })).status, 302);
  assert.equal((await shop.knex('sessions')).length, 1);
});
