import assert from 'node:assert/strict';
import { request } from 'node:http';
import { test } from 'node:test';
import { shopRoutes } from '../../../src/web/index.ts';
import { connectRaw } from '../../support/raw-client.ts';
import { dump, startShop } from '../../support/shop.ts';
import { CUSTOMER } from '../../support/visitor.ts';

interface Attempt {
  method: string;
  path: string;
  body?: string | Buffer;
  headers?: Record<string, string>;
}

const ANSWER_MS = 20_000;

const FORM = { 'content-type': 'application/x-www-form-urlencoded' };

/** What people put where a number or a word is expected. */
const POISONS = [
  '',
  '-1',
  '0',
  '99999999999',
  '2147483648',
  '1e309',
  '1.5',
  'NaN',
  'null',
  'undefined',
  '[object%20Object]',
  '%00',
  '1%00',
  '%0d%0aSet-Cookie:x=1',
  '%ff%fe',
  '%ed%a0%80',
  '%F0%9F%98%80',
  '%E2%80%AE',
  '%zz',
  '%',
  '%2e%2e%2f%2e%2e%2fetc%2fpasswd',
  "1'%20or%20'1'='1",
  '1;drop%20table%20products',
  '%3Cscript%3Ealert(1)%3C/script%3E',
  '$%7B7*7%7D',
  '__proto__',
  'constructor',
  'a'.repeat(5000),
  '%25'.repeat(500),
];

const ODD_BODIES: (string | Buffer)[] = [
  '',
  '=',
  '&&&&',
  'quantity',
  'quantity=1&quantity=2',
  'quantity[]=1',
  'quantity[a][b][c][d][e][f][g]=1',
  'quantity.x=1',
  '__proto__[quantity]=1',
  'constructor[prototype][quantity]=1',
  '__proto__.quantity=1',
  'quantity=%',
  'quantity=%00',
  'quantity=%ED%A0%80',
  Buffer.from([0x71, 0x3d, 0xff, 0xfe, 0x00]),
  `${'a=1&'.repeat(3000)}quantity=0`,
  `quantity=${'9'.repeat(10_000)}`,
  `${'['.repeat(1000)}=1`,
  'x'.repeat(200_000),
];

const ODD_HEADERS: Record<string, string>[] = [
  { accept: '' },
  { accept: ';;;,,,/' },
  { accept: 'a'.repeat(4000) },
  { 'accept-encoding': 'gzip;q=abc, *;q=-1' },
  { 'accept-encoding': 'identity;q=0' },
  { 'accept-encoding': '*;q=0' },
  { 'accept-encoding': ',' },
  { 'accept-encoding': 'gzip;q=0, identity;q=0' },
  { 'accept-encoding': 'constructor, __proto__' },
  { 'accept-language': '%00' },
  { cookie: '=;=;;;fake_shop' },
  { cookie: 'fake_shop=e30=; fake_shop.sig=x' },
  { cookie: `fake_shop=${Buffer.from('{"__proto__":{"id":1}}').toString('base64')}` },
  { host: 'evil.example:99999' },
  { host: '' },
  { 'if-none-match': '*' },
  { 'x-forwarded-for': '<script>' },
  { 'x-forwarded-host': 'evil.example' },
  { 'x-request-id': 'a b' },
  { range: 'bytes=9-1' },
  { 'x-http-method-override': 'DELETE' },
];

function* attempts(itemId: number): Generator<Attempt> {
  for (const poison of POISONS) {
    yield { method: 'GET', path: `/detail/${poison}` };
    yield { method: 'GET', path: `/order_confirmation/${poison}` };
    yield { method: 'GET', path: `/shop?page=${poison || '-'}&sort=${poison || '-'}` };
    yield { method: 'GET', path: `/shop?category=${poison || '-'}` };
    yield { method: 'GET', path: `/static/${poison}` };
    yield { method: 'GET', path: `/${poison || 'x'}` };
    yield { method: 'POST', path: `/add_to_cart/${poison}`, headers: FORM, body: 'quantity=1' };
    yield { method: 'POST', path: `/update_quantity/${poison}`, headers: FORM, body: 'quantity=1' };
    yield { method: 'POST', path: `/remove_item/${poison}`, headers: FORM };
    yield { method: 'POST', path: '/add_to_cart/1', headers: FORM, body: `quantity=${poison}` };
    if (poison !== '0') {
      yield { method: 'POST', path: `/update_quantity/${itemId}`, headers: FORM, body: `quantity=${poison}` };
    }
    for (const field of ['email', 'mobile', 'zip', 'card_number', 'expiry_date', 'cvv', 'cart']) {
      // No cart is the open one, and some of these are good numbers of a phone.
      if ((field === 'cart' && poison === '') || (field === 'mobile' && /^\d{8,}$/.test(poison))) continue;
      const others = Object.entries(CUSTOMER).filter(([name]) => name !== field);
      const body = `${new URLSearchParams(others)}&${field}=${poison}`;
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

function send(origin: string, cookie: string, { method, path, body, headers }: Attempt): Promise<number> {
  return new Promise((resolve, reject) => {
    request(origin, { method, path, headers: { cookie, ...headers } }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode ?? 0));
    })
      // A body beyond the limit is cut while it is still being sent.
      .on('error', (error: NodeJS.ErrnoException) =>
        error.code === 'ECONNRESET' || error.code === 'EPIPE' ? resolve(413) : reject(error),
      )
      .end(body);
  });
}

test('hostile requests get a 4xx, change nothing, and make no series', async (t) => {
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
    const status = await send(shop.origin, cookie, attempt);
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

test('requests that HTTP itself forbids end in a 400 or a closed connection, and the next one is served', async (t) => {
  const shop = await startShop(t);
  async function talk(text: string): Promise<string> {
    const client = connectRaw(t, shop.origin);
    client.socket.end(text);
    await client.end(ANSWER_MS);
    return client.answer();
  }

  for (const text of [
    'GET / HTTP/1.1\r\n\r\n',
    'NONSENSE / HTTP/1.1\r\nHost: x\r\n\r\n',
    'GET http://[::1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
    'GET nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
    'OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
    'POST /checkout HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
    'POST /checkout HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'POST /checkout HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 50\r\n\r\nab',
    `GET / HTTP/1.1\r\nHost: x\r\nX: ${'y'.repeat(100_000)}\r\n\r\n`,
    'GET / HTTP/1.1\r\nHost: x\r\nX-Request-Id: a\0b\r\n\r\n',
  ]) {
    const answer = await talk(text);
    assert.match(answer, /^$|^HTTP\/1\.1 4\d\d /, JSON.stringify(text.slice(0, 60)));
  }
  assert.equal((await shop.visitor().get('/')).status, 200);
});
