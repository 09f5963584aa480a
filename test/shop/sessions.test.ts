import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startShop } from '../support/shop.ts';

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
  const value = /^fake_shop=([^;]+)/.exec(lines.join('\n'))?.[1] ?? '';
  const data = JSON.parse(Buffer.from(value, 'base64').toString());
  const [session] = await shop.knex('sessions');
  assert.deepEqual(Object.keys(data).sort(), ['_expire', '_maxAge', 'id']);
  assert.equal(data.id, session.id);

  await fetch(`${shop.origin}/shop`, { headers: { cookie: cookieOf(lines) } });
  assert.equal((await shop.knex('sessions')).length, 1);
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

test('keys rotate without logging anyone out, and the old key can go afterwards', async (t) => {
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

test('a session whose row is gone is stored again', async (t) => {
  const shop = await startShop(t);
  const shopper = shop.visitor();
  await shopper.get('/');
  await shop.knex('sessions').delete();
  assert.equal((await shopper.post('/add_to_cart/1', { quantity: 1 })).status, 302);
  assert.equal((await shop.knex('sessions')).length, 1);
});
