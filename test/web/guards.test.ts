import assert from 'node:assert/strict';
import { test } from 'node:test';
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
