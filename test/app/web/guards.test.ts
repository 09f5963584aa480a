import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { test } from 'node:test';
import { dump, startShop } from '../../support/shop.ts';

test('a form from another site is refused, and a form from our own site or from no browser passes', async (t) => {
  const shop = await startShop(t);
  const host = new URL(shop.origin).host;
  const visitor = shop.visitor();
  await visitor.get('/');
  const before = await dump(shop.knex);
  const post = (headers: Record<string, string>) => visitor.post('/add_to_cart/1', { quantity: 1 }, headers);

  const foreign: Record<string, string>[] = [
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { 'sec-fetch-site': 'nonsense' },
    { 'sec-fetch-site': 'same-origin, cross-site' },
    { 'sec-fetch-site': 'cross-site', origin: shop.origin },
    { 'sec-fetch-site': 'same-site', origin: shop.origin, referer: `${shop.origin}/` },
    { origin: 'https://evil.example' },
    { origin: `http://${host}.evil.example` },
    { origin: `http://${host}@evil.example` },
    { origin: 'http://127.0.0.1:1' },
    { origin: 'http://127.0.0.1' },
    { origin: `https://${host}` },
    { origin: `ftp://${host}` },
    { origin: `blob:${shop.origin}/x` },
    { origin: `${shop.origin}, https://evil.example` },
    { origin: 'null' },
    { origin: 'null', referer: `${shop.origin}/cart` },
    { origin: 'nonsense' },
    { origin: 'https://evil.example', referer: `${shop.origin}/cart` },
    { referer: 'https://evil.example/' },
    { referer: `https://evil.example/${host}` },
    { referer: `https://${host}/` },
    { referer: 'about:blank' },
  ];
  for (const headers of foreign) {
    const refused = await post(headers);
    assert.equal(refused.status, 403, JSON.stringify(headers));
    assert.match(refused.text, /outro site/);
  }
  assert.equal(await dump(shop.knex), before);
  const counted = (await shop.metrics()).of('shop_errors_total', { type: 'forbidden', route: '/add_to_cart/:id' });
  assert.equal(counted, foreign.length);

  for (const headers of [
    {},
    { origin: shop.origin },
    { 'sec-fetch-site': 'same-origin', origin: shop.origin },
    { 'sec-fetch-site': 'none' },
    { origin: shop.origin.toUpperCase() },
    { origin: shop.origin, referer: 'https://evil.example/' },
    { referer: `${shop.origin}/detail/1?from=list#top` },
  ]) {
    assert.equal((await post(headers as Record<string, string>)).status, 302, JSON.stringify(headers));
  }
  // `fetch` sets the host by itself.
  for (const headers of [
    { origin: 'http://loja.example', host: 'loja.example:80' },
    { origin: 'http://LOJA.example:80', host: 'loja.example' },
  ]) {
    const asked = request(`${shop.origin}/add_to_cart/1`, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/x-www-form-urlencoded' },
    }).end('quantity=1');
    const [response] = (await once(asked, 'response')) as [IncomingMessage];
    assert.equal(response.resume().statusCode, 302, JSON.stringify(headers));
  }
});

test("behind a trusted proxy, a form's origin is compared with the host that the proxy was asked for", async (t) => {
  const shop = await startShop(t);
  const behindProxy = await shop.another({ options: { trustProxy: true } });
  const headers = { origin: 'https://loja.example', 'x-forwarded-host': 'loja.example', 'x-forwarded-proto': 'https' };
  const post = (origin: string, more = {}) =>
    shop.visitor().post(`${origin}/add_to_cart/1`, { quantity: 1 }, { ...headers, ...more });
  assert.equal((await post(behindProxy.origin)).status, 302);
  assert.equal((await post(behindProxy.origin, { origin: 'https://loja.example:443' })).status, 302);
  assert.equal((await post(behindProxy.origin, { origin: 'http://loja.example' })).status, 403);
  assert.equal((await post(behindProxy.origin, { origin: 'https://evil.example' })).status, 403);
  assert.equal((await post(shop.origin)).status, 403);
});

test("a form's origin that differs from the host is explained, on the page and in the log", async (t) => {
  const shop = await startShop(t);
  const visitor = shop.visitor();
  const post = (headers: Record<string, string>) => visitor.post('/add_to_cart/1', { quantity: 1 }, headers);
  for (const headers of [{ origin: 'https://loja.example' }, { referer: 'https://loja.example/detail/1?x=secret' }]) {
    const { text } = await post(headers as Record<string, string>);
    assert.match(text, /Origin.*Host.*proxy_set_header Host \$host.*TRUST_PROXY=true.*X-Forwarded-Host/s);
    const line = JSON.parse(shop.log().trim().split('\n').at(-1) ?? '') as { hint: string };
    assert.ok(line.hint.includes(`is https://loja.example, but it was sent to ${shop.origin}:`), line.hint);
    assert.match(line.hint, /proxy_set_header Host \$host.*TRUST_PROXY=true/);
    assert.doesNotMatch(shop.log(), /secret/);
  }
  const { text } = await post({ 'sec-fetch-site': 'cross-site', origin: 'https://loja.example' });
  assert.doesNotMatch(text, /proxy/, 'a browser knows its sites better than a proxy');
});

test('every answer has strict headers, and HSTS and secure cookies only behind TLS', async (t) => {
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
