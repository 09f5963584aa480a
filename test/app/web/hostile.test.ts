import assert from 'node:assert/strict';
import { test } from 'node:test';
import { shopRoutes } from '../../../src/web/index.ts';
import {
  BROKEN_REQUESTS,
  type HostileRequest,
  ODD_BODIES,
  ODD_HEADERS,
  ODD_VALUES,
  send,
  sendRaw,
} from '../../support/hostile.ts';
import { dump, startShop } from '../../support/shop.ts';
import { CUSTOMER } from '../../support/visitor.ts';

const FORM = { 'content-type': 'application/x-www-form-urlencoded' };

/** Requests that are each wrong in one place: none of them may change anything. */
function* attempts(itemId: number): Generator<HostileRequest> {
  for (const value of ODD_VALUES) {
    yield { method: 'GET', path: `/detail/${value}` };
    yield { method: 'GET', path: `/order_confirmation/${value}` };
    yield { method: 'GET', path: `/shop?page=${value || '-'}&sort=${value || '-'}` };
    yield { method: 'GET', path: `/shop?category=${value || '-'}` };
    yield { method: 'GET', path: `/static/${value}` };
    yield { method: 'GET', path: `/${value || 'x'}` };
    yield { method: 'POST', path: `/add_to_cart/${value}`, headers: FORM, body: 'quantity=1' };
    yield { method: 'POST', path: `/update_quantity/${value}`, headers: FORM, body: 'quantity=1' };
    yield { method: 'POST', path: `/remove_item/${value}`, headers: FORM };
    yield { method: 'POST', path: '/add_to_cart/1', headers: FORM, body: `quantity=${value}` };
    if (value !== '0') {
      yield { method: 'POST', path: `/update_quantity/${itemId}`, headers: FORM, body: `quantity=${value}` };
    }
    for (const field of ['email', 'mobile', 'zip', 'card_number', 'expiry_date', 'cvv', 'cart']) {
      // An empty `cart` means the open cart, and some of these values are valid telephone numbers.
      if ((field === 'cart' && value === '') || (field === 'mobile' && /^\d{8,}$/.test(value))) continue;
      const others = Object.entries(CUSTOMER).filter(([name]) => name !== field);
      const body = `${new URLSearchParams(others)}&${field}=${value}`;
      yield { method: 'POST', path: '/checkout', headers: FORM, body };
    }
  }
  for (const body of ODD_BODIES) {
    for (const path of ['/add_to_cart/1', `/update_quantity/${itemId}`, '/checkout', '/add_to_cart/x']) {
      yield { method: 'POST', path, headers: FORM, body };
    }
  }
  for (const headers of ODD_HEADERS) {
    yield { method: 'GET', path: '/nowhere', headers };
    yield { method: 'POST', path: '/add_to_cart/1', headers: { ...FORM, ...headers }, body: 'quantity=0' };
  }
  for (const type of [
    'application/json',
    'text/xml',
    'multipart/form-data',
    'application/x-www-form-urlencoded2',
    '/',
  ]) {
    yield { method: 'POST', path: '/checkout', headers: { 'content-type': type }, body: '{"__proto__":{"x":1}}' };
  }
  for (const method of ['PUT', 'PATCH', 'DELETE', 'TRACE', 'PROPFIND', 'PURGE']) {
    yield { method, path: '/' };
    yield { method, path: '/checkout', headers: FORM, body: 'a=1' };
  }
}

test('hostile requests get a 4xx, change nothing and add no series', async (t) => {
  const shop = await startShop(t);
  const shopper = shop.visitor();
  const added = await shopper.post('/add_to_cart/1', { quantity: 2 });
  const cookie = added.headers
    .getSetCookie()
    .map((line) => line.split(';', 1)[0])
    .join('; ');
  const [item] = await shop.knex('cart_items');
  const before = await dump(shop.knex);
  const seriesOf = (text: string) => new Set(text.match(/^http_request_duration_seconds_count\{.*route="[^"]*"/gm));

  let sent = 0;
  for (const attempt of attempts(item.id)) {
    const status = await send(shop.origin, { ...attempt, headers: { cookie, ...attempt.headers } });
    const shown = JSON.stringify(attempt).slice(0, 200);
    assert.ok(status >= 400 && status < 500, `${status} for ${shown}`);
    sent++;
  }

  assert.ok(sent >= 400, String(sent));
  await shop.knex('sessions').whereNotIn('id', shop.knex('carts').select('session_id')).delete();
  assert.equal(await dump(shop.knex), before);
  assert.equal(({} as Record<string, unknown>).quantity, undefined);
  const routes = new Set([...seriesOf((await shop.metrics()).text)].map((line) => /route="([^"]*)"/.exec(line)?.[1]));
  const known = new Set(['unmatched', ...shopRoutes.map(({ route }) => route)]);
  assert.deepEqual([...routes].sort(), [...known].sort());
  for (const line of shop.log().trim().split('\n')) assert.ok(JSON.parse(line).level < 50, line);
});

test('broken HTTP gets a 4xx or ends the connection, and the next request is served', async (t) => {
  const shop = await startShop(t);
  for (const broken of BROKEN_REQUESTS) {
    const data = broken();
    assert.match(
      await sendRaw(t, shop.origin, data),
      /^$|^HTTP\/1\.1 4\d\d /,
      JSON.stringify(String(data).slice(0, 60)),
    );
  }
  assert.equal((await shop.visitor().get('/')).status, 200);
});
