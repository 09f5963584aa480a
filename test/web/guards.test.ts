import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import { dump, startShop } from '../support/shop.ts';

test('a form posted by another site is refused, one of our own or of no browser passes', async (t) => {
  const shop = await startShop(t);
  const host = new URL(shop.origin).host;
  const visitor = shop.visitor();
  await visitor.get('/');
  const before = await dump(shop.knex);
  const post = (headers: Record<string, string>) => visitor.post('/add_to_cart/1', { quantity: 1 }, headers);

  for (const headers of [
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'nonsense' },
    { 'sec-fetch-site': 'cross-site', origin: shop.origin },
    { origin: 'https://evil.example' },
    { origin: `http://${host}.evil.example` },
    { origin: 'http://127.0.0.1:1' },
    { origin: 'null' },
    { origin: 'nonsense' },
  ]) {
    const refused = await post(headers as Record<string, string>);
    assert.equal(refused.status, 403, JSON.stringify(headers));
    assert.match(refused.text, /outro site/);
  }
  assert.equal(await dump(shop.knex), before);
  assert.equal((await shop.metrics()).of('shop_errors_total', { type: 'forbidden', route: '/add_to_cart/:id' }), 8);

  for (const headers of [
    {},
    { origin: shop.origin },
    { 'sec-fetch-site': 'same-origin', origin: shop.origin },
    { 'sec-fetch-site': 'same-site' },
    { 'sec-fetch-site': 'none' },
  ]) {
    assert.equal((await post(headers as Record<string, string>)).status, 302, JSON.stringify(headers));
  }
});

test("behind a trusted proxy, a form's origin is compared with the host that the proxy was asked for", async (t) => {
  const shop = await startShop(t);
  const behindProxy = await shop.another({ options: { trustProxy: true } });
  const headers = { origin: 'https://loja.example', 'x-forwarded-host': 'loja.example', 'x-forwarded-proto': 'https' };
  const post = (origin: string, more = {}) =>
    shop.visitor().post(`${origin}/add_to_cart/1`, { quantity: 1 }, { ...headers, ...more });
  assert.equal((await post(behindProxy.origin)).status, 302);
  assert.equal((await post(behindProxy.origin, { origin: 'https://evil.example' })).status, 403);
  assert.equal((await post(shop.origin)).status, 403);
});

test('too many posts of one address are told to wait, pages are not', async (t) => {
  const shop = await startShop(t, { rateLimiter: new RateLimiterMemory({ points: 3, duration: 60 }) });
  const visitor = shop.visitor();
  const post = () => visitor.post('/add_to_cart/1', { quantity: 1 }, { 'x-forwarded-for': `10.0.0.${Math.random()}` });
  for (let i = 0; i < 3; i++) assert.equal((await post()).status, 302);

  const refused = await post();
  assert.equal(refused.status, 429);
  const wait = Number(refused.headers.get('retry-after'));
  assert.ok(wait >= 1 && wait <= 60, String(wait));
  assert.equal((await visitor.get('/cart')).status, 200);
  assert.equal((await shop.knex('cart_items').first()).quantity, 3);
  assert.equal((await shop.metrics()).of('shop_errors_total', { type: 'rate_limited', route: '/add_to_cart/:id' }), 1);
});

test('behind a trusted proxy, each shopper has their own limit', async (t) => {
  const rateLimiter = new RateLimiterMemory({ points: 1, duration: 60 });
  const shop = await startShop(t, { rateLimiter, options: { trustProxy: true } });
  const post = (address: string) =>
    shop.visitor().post('/add_to_cart/1', { quantity: 1 }, { 'x-forwarded-for': `6.6.6.6, ${address}` });
  assert.equal((await post('10.0.0.1')).status, 302);
  assert.equal((await post('10.0.0.2')).status, 302);
  assert.equal((await post('10.0.0.1')).status, 429);
});

test('an IPv6 network is one address to the limit, since its owner may use any of them', async (t) => {
  const rateLimiter = new RateLimiterMemory({ points: 1, duration: 60 });
  const shop = await startShop(t, { rateLimiter, options: { trustProxy: true } });
  const post = async (address: string) =>
    (await shop.visitor().post('/add_to_cart/1', { quantity: 1 }, { 'x-forwarded-for': address })).status;
  assert.equal(await post('2001:db8::1'), 302);
  for (const same of ['2001:db8::2', '2001:DB8:0:0:ffff::', '2001:0db8:0000:0000:1:2:3:4', '2001:db8::5:6:7:8']) {
    assert.equal(await post(same), 429, same);
  }
  for (const other of ['2001:db8:0:1::1', '2001:db8:1::', '::1', 'fe80::1%eth0', '10.0.0.1']) {
    assert.equal(await post(other), 302, other);
  }
  assert.equal(await post('::ffff:10.0.0.1'), 429);
});

test('a limiter that fails closes nothing, and is logged', async (t) => {
  class Broken extends RateLimiterMemory {
    override consume(): Promise<never> {
      return Promise.reject(new Error('no answer from the primary'));
    }
  }
  const shop = await startShop(t, { rateLimiter: new Broken({ points: 1, duration: 60 }) });
  assert.equal((await shop.visitor().post('/add_to_cart/1', { quantity: 1 })).status, 302);
  assert.match(shop.log(), /the rate limiter failed/);
});

test('strict headers on every answer; HSTS and secure cookies only behind TLS', async (t) => {
  const shop = await startShop(t);
  const behindTls = await shop.another({ options: { trustProxy: true } });
  for (const path of ['/', '/nowhere', '/livez', '/static/shop.css']) {
    const { headers } = await fetch(`${shop.origin}${path}`, { headers: { 'x-forwarded-proto': 'https' } });
    const csp = headers.get('content-security-policy') ?? '';
    assert.match(csp, /default-src 'none'.*frame-ancestors 'none'.*script-src 'self'.*style-src 'self'/, path);
    assert.doesNotMatch(csp, /unsafe|upgrade-insecure/);
    assert.equal(headers.get('x-content-type-options'), 'nosniff');
    assert.equal(headers.get('x-frame-options'), 'DENY');
    assert.equal(headers.get('referrer-policy'), 'same-origin');
    assert.equal(headers.get('strict-transport-security'), null);
    assert.equal(headers.get('x-powered-by'), null);
  }
  const { headers } = await fetch(`${behindTls.origin}/`, { headers: { 'x-forwarded-proto': 'https' } });
  assert.equal(headers.get('strict-transport-security'), 'max-age=31536000');
  assert.ok(headers.getSetCookie().every((line) => /; secure/i.test(line)));
});
