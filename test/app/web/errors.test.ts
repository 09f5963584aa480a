import assert from 'node:assert/strict';
import { pbkdf2 } from 'node:crypto';
import { once } from 'node:events';
import { request } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { Writable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { openPool } from '../../support/database.ts';
import { testProvider } from '../../support/payments.ts';
import { connectRaw } from '../../support/raw-client.ts';
import { PATIENCE, recordStatements, startShop, type TestShop } from '../../support/shop.ts';
import { freePort } from '../../support/system.ts';
import { PATIENT } from '../../support/test-server.ts';
import { CUSTOMER } from '../../support/visitor.ts';
import { until, whenDone } from '../../support/wait.ts';

const JSON_PLEASE = { accept: 'application/json' };

test('an error is a page in Portuguese with its id, or JSON for a client that asks for it, and is counted once', async (t) => {
  const shop = await startShop(t);
  const visitor = shop.visitor();

  const page = await visitor.get('/detail/99999');
  assert.equal(page.status, 404);
  assert.match(page.headers.get('content-type') ?? '', /^text\/html; charset=utf-8/);
  assert.match(page.text, /Esse produto não existe/);
  assert.ok(page.text.includes(page.headers.get('x-request-id') as string));
  assert.equal(page.headers.get('cache-control'), 'no-store');

  const json = await visitor.get('/detail/99999', JSON_PLEASE);
  assert.equal(json.status, 404);
  const { error, requestId } = JSON.parse(json.text);
  assert.deepEqual(error, { type: 'not_found', message: 'Esse produto não existe ou não é mais vendido.' });
  assert.equal(requestId, json.headers.get('x-request-id'));

  const metrics = await shop.metrics();
  assert.equal(metrics.of('shop_errors_total', { type: 'not_found', route: '/detail/:id' }), 2);
  assert.equal(metrics.of('shop_errors_total'), 2);
  assert.equal(metrics.of('shop_product_views_total'), 0);
});

test("an error page keeps the cart's number, says when to come back, and speaks of no order", async (t) => {
  const shop = await startShop(t);
  const bought = await shop.visitor().post('/add_to_cart/1', { quantity: 2 });
  const cookies = bought.headers.getSetCookie().map((line) => line.split(';', 1)[0]);
  const overloaded = await shop.another({
    options: { load: { maxInFlight: 0, lateCount: 10, lateMs: 1_000 } },
  });
  const limited = await shop.another({ rateLimiter: { count: () => 12 } });

  async function ask(
    { origin }: { origin: string },
    path: string,
    init: RequestInit = {},
    cookie = cookies.join('; '),
  ) {
    const answer = await fetch(`${origin}${path}`, { ...init, headers: { cookie, ...init.headers } });
    assert.deepEqual(answer.headers.getSetCookie(), [], `${path} leaves the cookie as it is`);
    const text = await answer.text();
    assert.doesNotMatch(text, /pedido|endereço/i, path);
    const [, badge = '0'] = /class="badge">(\d+)/.exec(text) ?? [];
    return { status: answer.status, badge, text };
  }
  const form = { method: 'POST', body: new URLSearchParams({ quantity: '1' }) };
  for (const [status, where, path, init, advice] of [
    [400, shop, '/%zz', {}, null],
    [403, shop, '/add_to_cart/1', { ...form, headers: { 'sec-fetch-site': 'cross-site' } }, null],
    [404, shop, '/nowhere', {}, null],
    [405, shop, '/add_to_cart/1', {}, null],
    [429, limited, '/add_to_cart/1', form, 'Espere 12 segundos, volte à página anterior e envie de novo.'],
    [503, overloaded, '/cart', {}, 'Espere 1 segundo e tente de novo.'],
    [503, overloaded, '/add_to_cart/1', form, 'Espere 1 segundo, volte à página anterior e envie de novo.'],
  ] as const) {
    for (let i = 0; i < 2; i++) {
      const page = await ask(where, path, init);
      assert.deepEqual([page.status, page.badge], [status, '2'], path);
      assert.equal(/data-retry-after="\d+"[^>]*>([^<]+)/.exec(page.text)?.[1] ?? null, advice);
    }
    for (const other of ['', `${cookies[0]}x; ${cookies[1]}`]) {
      assert.equal((await ask(where, path, init, other)).badge, '0', 'a stranger has no cart');
    }
  }
});

test("a trusted proxy's request id is used unless it could forge log lines, and no other client's id is", async (t) => {
  const shop = await startShop(t);
  const behindProxy = await shop.another({ options: { trustProxy: true } });
  const idFor = async (asked: string, { origin } = behindProxy) =>
    (await fetch(`${origin}/nowhere`, { headers: { 'x-request-id': asked } })).headers.get('x-request-id') ?? '';
  assert.equal(await idFor('from-the-proxy-1'), 'from-the-proxy-1');
  assert.match(await idFor('from-a-stranger-1', shop), /^[\da-f-]{36}$/);
  for (const id of ['x', 'a b c d e f g h', `a${'b'.repeat(200)}`, '"},{"level":60', 'card-4242424242424242']) {
    assert.match(await idFor(id), /^[\da-f-]{36}$/);
  }
});

test('HEAD is GET without a body, and a 405 names the methods of the route', async (t) => {
  const shop = await startShop(t);
  const send = (method: string, path: string) => fetch(`${shop.origin}${path}`, { method, redirect: 'manual' });

  for (const path of ['/', '/shop', '/detail/1', '/contact', '/cart', '/livez', '/readyz', '/static/shop.css']) {
    const head = await send('HEAD', path);
    assert.equal(head.status, 200, path);
    assert.equal(await head.text(), '');
    assert.equal((await send('GET', `${path}/`)).status, path.startsWith('/static') ? 404 : 200, path);
  }
  for (const [method, path, allow] of [
    ['GET', '/add_to_cart/1', 'OPTIONS, POST'],
    ['DELETE', '/cart', 'GET, HEAD, OPTIONS'],
    ['PUT', '/checkout', 'GET, HEAD, OPTIONS, POST'],
    ['PROPFIND', '/', 'GET, HEAD, OPTIONS'],
    ['POST', '/metrics', 'GET, HEAD, OPTIONS'],
  ] as const) {
    const refused = await send(method, path);
    assert.equal(refused.status, 405, `${method} ${path}`);
    assert.equal(refused.headers.get('allow'), allow);
  }
  const options = await send('OPTIONS', '/checkout');
  assert.equal(options.status, 204);
  assert.equal(options.headers.get('allow'), 'GET, HEAD, OPTIONS, POST');
  assert.equal((await send('DELETE', '/nowhere')).status, 404);
});

test('HEAD tells the length and the encoding that GET has', async (t) => {
  const shop = await startShop(t);
  for (const path of ['/', '/shop?q=a', '/cart', '/static/shop.css', '/livez']) {
    for (const encoding of ['br', 'gzip', 'identity']) {
      const [get, head] = await Promise.all(
        ['GET', 'HEAD'].map(async (method) => {
          const answer = await fetch(`${shop.origin}${path}`, { method, headers: { 'accept-encoding': encoding } });
          await answer.text();
          return ['content-length', 'content-encoding', 'content-type', 'vary'].map((name) => answer.headers.get(name));
        }),
      );
      assert.ok(Number(get?.[0]) > 0);
      assert.deepEqual(head, get, `${path} ${encoding}`);
    }
  }
});

test('a body that is no form or too big is refused', async (t) => {
  const shop = await startShop(t);
  const post = (headers: Record<string, string>, body: string | Uint8Array<ArrayBuffer>) =>
    fetch(`${shop.origin}/add_to_cart/1`, { method: 'POST', headers, body, redirect: 'manual' });
  const form = { 'content-type': 'application/x-www-form-urlencoded' };

  assert.equal((await post(form, 'quantity=1')).status, 302);
  assert.equal(
    (await post({ 'content-type': 'application/x-www-form-urlencoded; charset=UTF-8' }, 'quantity=1')).status,
    302,
  );
  for (const type of [
    'application/json',
    'text/plain',
    'multipart/form-data; boundary=x',
    'nonsense',
    'application/xml',
  ]) {
    assert.equal((await post({ 'content-type': type }, '{"quantity":1}')).status, 415, type);
  }
  assert.equal((await post({ ...form, 'content-encoding': 'gzip' }, 'quantity=1')).status, 415);
  assert.equal((await post(form, `quantity=1&x=${'y'.repeat(20_000)}`)).status, 413);
  assert.equal((await shop.visitor().post('/add_to_cart/1', {})).status, 422);
});

test('a form is read as UTF-8, and refused when it is anything else', async (t) => {
  const shop = await startShop(t);
  const statusOf = async (body: string | Uint8Array<ArrayBuffer>, parameter = '') => {
    const headers = { 'content-type': `application/x-www-form-urlencoded${parameter}` };
    const { status } = await fetch(`${shop.origin}/add_to_cart/1`, {
      method: 'POST',
      headers,
      body,
      redirect: 'manual',
    });
    return status;
  };
  for (const charset of ['UTF-8', '"utf-8"', 'utf8', 'US-ASCII']) {
    assert.equal(await statusOf('quantity=1', `; charset=${charset}`), 302, charset);
  }
  for (const charset of ['utf-16', 'iso-8859-1', 'nonsense']) {
    assert.equal(await statusOf('quantity=1', `; charset=${charset}`), 415, charset);
  }
  for (const note of ['São', 'S%C3%A3o', '%F0%9F%98%80', '\ufffd', '100%', '%zz', '%C3%B3%20%C3%B3']) {
    assert.equal(await statusOf(`quantity=1&note=${note}`), 302, note);
  }
  for (const note of ['%FF', 'S%E3o', '%C3', '%C3%', '%A3%C3', '%ED%A0%80']) {
    assert.equal(await statusOf(`quantity=1&note=${note}`), 400, note);
  }
  assert.equal(await statusOf(Uint8Array.from(Buffer.from('quantity=1&note=São', 'latin1'))), 400);
  assert.equal(await statusOf('?quantity=1'), 422, 'the question mark belongs to the name');
});

test('a post without a body is an empty form for any content type', async (t) => {
  const shop = await startShop(t);
  const bought = await fetch(`${shop.origin}/add_to_cart/1`, {
    method: 'POST',
    body: new URLSearchParams({ quantity: '1' }),
    redirect: 'manual',
  });
  const [own = ''] = bought.headers.getSetCookie().map((line) => line.split(';', 1)[0]);
  const signature = bought.headers.getSetCookie()[1]?.split(';', 1)[0];
  const cookie = `${own}; ${signature}`;
  const { id } = await shop.knex('cart_items').first('id');
  const post = (path: string, headers: Record<string, string> = {}) =>
    fetch(`${shop.origin}${path}`, { method: 'POST', headers: { cookie, ...headers }, redirect: 'manual' });
  for (const headers of [{}, { 'content-type': 'application/json' }, { 'content-encoding': 'gzip' }]) {
    assert.equal((await post('/add_to_cart/1', headers as Record<string, string>)).status, 422);
    assert.equal((await post('/checkout', headers as Record<string, string>)).status, 422);
  }
  assert.equal((await post(`/remove_item/${id}`)).status, 302);
  assert.equal((await shop.knex('cart_items')).length, 0);
});

test('a chunked body without data is an empty form for any content type', async (t) => {
  const shop = await startShop(t);
  const bought = await shop.visitor().post('/add_to_cart/1', { quantity: 1 });
  const cookie = bought.headers
    .getSetCookie()
    .map((line) => line.split(';', 1)[0])
    .join('; ');
  const { id } = await shop.knex('cart_items').first('id');
  async function post(path: string, header: string, ...pieces: string[]): Promise<string> {
    const client = connectRaw(t, shop.origin);
    const [first = '', ...rest] = pieces;
    await client.send(
      `POST ${path} HTTP/1.1\r\nHost: localhost\r\nCookie: ${cookie}\r\nTransfer-Encoding: chunked\r\n${header}\r\n${first}`,
    );
    for (const piece of rest) {
      await sleep(30);
      await client.send(piece);
    }
    await until('it is answered', () => client.answer().includes('\r\n'));
    return client.answer().slice(0, 'HTTP/1.1 302'.length);
  }
  const END = '0\r\n\r\n';
  for (const header of ['', 'Content-Type: application/json\r\n', 'Content-Encoding: gzip\r\n']) {
    for (const pieces of [[END], ['', END], ['0\r\n', '\r\n']]) {
      assert.equal(await post('/add_to_cart/1', header, ...pieces), 'HTTP/1.1 422', header);
    }
    for (const pieces of [[`1\r\nx\r\n${END}`], ['', `1\r\nx\r\n${END}`]]) {
      assert.equal(await post('/add_to_cart/1', header, ...pieces), 'HTTP/1.1 415', header);
    }
  }
  const form = 'Content-Type: application/x-www-form-urlencoded\r\n';
  assert.equal(await post('/add_to_cart/1', form, 'a\r\nquantity=1\r\n', END), 'HTTP/1.1 302');
  assert.equal(await post(`/remove_item/${id}`, '', END), 'HTTP/1.1 302');
  assert.equal((await shop.knex('cart_items')).length, 0);
});

test('a client that hangs up before its form has arrived is no failure of the shop', async (t) => {
  const shop = await startShop(t);
  const begun = 'POST /add_to_cart/1 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n';
  const form = 'Content-Type: application/x-www-form-urlencoded\r\n';
  for (const request of [`${begun}\r\n`, `${begun}${form}\r\n`, `${begun}${form}\r\n5\r\nquan`]) {
    const before = await shop.metrics();
    const client = connectRaw(t, shop.origin);
    await client.send(request);
    await until('the shop has it', async () => (await shop.metrics()).of('http_requests_in_flight') === 1);
    client.socket.destroy();
    await until('it is counted', async () => (await shop.metrics()).since(before).of('shop_errors_total') === 1);
    assert.equal((await shop.metrics()).since(before).of('shop_errors_total', { type: 'validation' }), 1);
  }
});

test('a refused upload is cut off, and a short form keeps its connection', async (t) => {
  const shop = await startShop(t);
  const endless = (type: string) =>
    new Promise<string>((resolve, reject) => {
      const upload = request(`${shop.origin}/add_to_cart/1`, { method: 'POST', headers: { 'content-type': type } });
      let answer = '';
      upload.on('response', (response) => {
        answer = `${response.statusCode} ${response.headers.connection}`;
      });
      // The server closes the connection while the client still sends.
      upload.on('error', () => {});
      upload.on('close', () => (answer ? resolve(answer) : reject(new Error('no answer'))));
      upload.write('x'.repeat(64 * 1024));
    });
  assert.equal(await endless('application/x-www-form-urlencoded'), '413 close');
  assert.equal(await endless('application/json'), '415 close');

  const visitor = shop.visitor();
  assert.equal((await visitor.get('/nowhere')).headers.get('connection'), 'keep-alive');
  assert.equal((await visitor.post('/add_to_cart/1', { quantity: 0 })).headers.get('connection'), 'keep-alive');
});

test('an unexpected failure is a 500 that shows nothing to the client, and the log has all of it once', async (t) => {
  const shop = await startShop(t);
  await shop.knex.raw('alter table cart_items rename column quantity to amount');
  const page = await shop.visitor().get('/cart');
  assert.equal(page.status, 500);
  assert.doesNotMatch(page.text, /quantity|column|select/);
  const id = page.headers.get('x-request-id') ?? '';
  const lines = shop
    .log()
    .split('\n')
    .filter((line) => line.includes(id))
    .map((line) => JSON.parse(line));
  assert.equal(lines.length, 1);
  assert.equal(lines[0].level, 50);
  assert.match(lines[0].cause.message, /quantity/);
  assert.equal((await shop.metrics()).of('shop_errors_total', { type: 'internal', route: '/cart' }), 1);
});

/** A server that gives the same answer to the first data of each connection. */
async function answering(t: TestContext, answer: Buffer): Promise<number> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => socket.end(answer));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  whenDone(t, () => server.close());
  return (server.address() as AddressInfo).port;
}

/** An ErrorResponse (https://www.postgresql.org/docs/current/protocol-message-formats.html). */
function refusalOf(code: string): Buffer {
  const fields = Buffer.from(`SFATAL\0C${code}\0Mno\0\0`);
  const length = Buffer.alloc(4);
  length.writeInt32BE(4 + fields.length);
  return Buffer.concat([Buffer.from('E'), length, fields]);
}

test('a page says that the shop is coming back after every kind of database failure', async (t) => {
  const shop = await startShop(t);
  const port = (answer: Buffer) => answering(t, answer);
  for (const [what, url] of [
    ['no TLS', `postgres://a:b@127.0.0.1:${await port(Buffer.from('N'))}/c?sslmode=require`],
    ['no TLS after all', `postgres://a:b@127.0.0.1:${await port(Buffer.from('Snonsense'))}/c?sslmode=require`],
    ['another protocol', `postgres://a:b@127.0.0.1:${await port(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'))}/c`],
    ['takes no connections', `postgres://a:b@127.0.0.1:${await port(refusalOf('55000'))}/c`],
    ['not permitted', `postgres://a:b@127.0.0.1:${await port(refusalOf('42501'))}/c`],
    ['a path of no folder', `postgres://a:b@${encodeURIComponent(fileURLToPath(import.meta.url))}/c`],
    ['two addresses', `postgres://a:b@localhost:${await freePort()}/c`],
  ] as const) {
    const database = openPool(t, { url });
    const struck = await shop.another({ database });
    const page = await struck.visitor().get('/');
    assert.equal(page.status, 503, `${what}: ${struck.log()}`);
    assert.ok(Number(page.headers.get('retry-after')) >= 1, what);
    assert.equal((await struck.visitor().get('/readyz')).status, 503, what);
    assert.equal((await struck.metrics()).of('shop_errors_total', { type: 'database', route: '/' }), 1, what);
  }
});

test('a worker with too many requests in flight refuses more at once, but no page from memory and no health check', async (t) => {
  const load = { maxInFlight: 1, lateCount: 10, lateMs: 30_000 };
  const shop = await startShop(t, { deadlines: PATIENT, options: { load, deadlineMs: 30_000 } });
  const visitor = shop.visitor();
  await visitor.get('/');
  const before = await shop.metrics();

  const lock = await shop.knex.transaction();
  whenDone(t, () => lock.rollback());
  await lock.raw('lock table cart_items in access exclusive mode');
  const waiting = visitor.get('/cart');
  await until('the page is in flight', async () => {
    const { rows } = await shop.knex.raw(
      "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
    );
    return rows.length === 1;
  });
  for (let i = 0; i < 5; i++) {
    const refused = await visitor.get('/cart');
    assert.equal(refused.status, 503);
    assert.equal(refused.headers.get('retry-after'), '1');
    const id = refused.headers.get('x-request-id') ?? '';
    assert.equal(refused.text.split(id).length, 2, 'the page shows its id once');
    assert.match(refused.text, /problema passageiro.*<\/html>/s);
  }
  for (const path of ['/', '/detail/1', '/livez']) assert.equal((await visitor.get(path)).status, 200, path);
  await lock.rollback();

  assert.equal((await waiting).status, 200);
  assert.equal((await visitor.get('/cart')).status, 200);
  const change = (await shop.metrics()).since(before);
  assert.equal(change.of('shop_errors_total', { type: 'overload', route: '/cart' }), 5);
  assert.equal(change.of('shop_errors_total'), 5);
});

test('a worker that has fallen behind refuses new requests until it has caught up, but no page from memory', async (t) => {
  const load = { maxInFlight: 250, lateCount: 3, lateMs: 200 };
  const shop = await startShop(t, { deadlines: PATIENT, options: { load, deadlineMs: 30_000 } });
  const visitor = shop.visitor();
  await visitor.post('/add_to_cart/1', { quantity: 1 });

  const lock = await shop.knex.transaction();
  whenDone(t, () => lock.rollback());
  await lock.raw('lock table cart_items in access exclusive mode');
  const waiting = Promise.all([1, 2, 3].map(() => visitor.get('/cart')));
  const refused = await until('a refusal', async () => {
    const page = await fetch(`${shop.origin}/cart`, { signal: AbortSignal.timeout(100) });
    return page.status === 503 && page;
  });
  assert.equal(refused.headers.get('retry-after'), '1');
  for (const each of [visitor, shop.visitor()]) assert.equal((await each.get('/detail/1')).status, 200);
  await lock.rollback();

  assert.deepEqual(
    (await waiting).map(({ status }) => status),
    [200, 200, 200],
  );
  assert.equal((await visitor.get('/cart')).status, 200);
});

/** The cookie of a visitor with a product in the cart. */
async function cookieOfCart(shop: TestShop): Promise<string> {
  const { status, headers } = await shop.visitor().post('/add_to_cart/1', { quantity: 1 });
  assert.equal(status, 302);
  return headers
    .getSetCookie()
    .map((line) => line.split(';', 1)[0])
    .join('; ');
}

test('checkouts that wait for the payment provider are no sign that a worker has fallen behind', async (t) => {
  const load = { maxInFlight: 250, lateCount: 3, lateMs: 100 };
  const roomy = await startShop(t, PATIENCE);
  const carts = await Promise.all(Array.from({ length: 8 }, () => cookieOfCart(roomy)));
  const payments = testProvider({ authorize: () => new Promise(() => {}) });
  const shop = await roomy.another({
    payments,
    deadlines: PATIENT,
    checkoutLimits: { places: 5 },
    options: { load, deadlineMs: 15_000 },
  });

  const answers = Promise.all(carts.map((cookie) => shop.visitor().post('/checkout', CUSTOMER, { cookie })));
  await until('five are paying, and the others stand in line', () => payments.asked.length >= 5);
  await pass(2 * load.lateMs);
  assert.equal((await shop.visitor().get('/cart')).status, 200);
  assert.deepEqual(new Set((await answers).map(({ status }) => status)), new Set([503]));
});

test('checkouts that wait for locked rows leave connections to other pages, and are no sign of a slow worker', async (t) => {
  const load = { maxInFlight: 250, lateCount: 3, lateMs: 500 };
  const roomy = await startShop(t, PATIENCE);
  const carts = await Promise.all(Array.from({ length: 36 }, () => cookieOfCart(roomy)));
  const shop = await roomy.another({ ...PATIENCE, options: { load, deadlineMs: 15_000 } });
  const lock = await shop.knex.transaction();
  whenDone(t, () => lock.rollback());
  await lock('products').select('id').forUpdate();

  const answers = Promise.all(carts.map((cookie) => shop.visitor().post('/checkout', CUSTOMER, { cookie })));
  await until('eight wait for the rows, and none for a connection', async () => {
    const scrape = await shop.metrics();
    const connections = (state: string) => scrape.of('shop_db_connections', { state });
    return connections('active') === 8 && connections('pending') === 0;
  });
  await pass(2 * load.lateMs);
  assert.equal((await shop.visitor().get('/cart')).status, 200);
  await lock.rollback();
  assert.deepEqual(new Set((await answers).map(({ status }) => status)), new Set([302]));
  const scrape = await shop.metrics();
  assert.equal(scrape.of('shop_orders_total', { outcome: 'paid' }), carts.length);
  const spent = (on: string) => scrape.of('shop_request_time_seconds_total', { route: '/checkout', spent: on });
  assert.ok(spent('db') > spent('db_wait'), `db ${spent('db')}, db_wait ${spent('db_wait')}`);
});

async function pass(ms: number): Promise<void> {
  const sinceMs = performance.now();
  await until(`${ms} ms have passed`, () => performance.now() - sinceMs > ms);
}

test('a page that is ready after its deadline does not touch the 503 that was sent instead', async (t) => {
  const lines: string[] = [];
  let release = () => {};
  const log = pino(
    new Writable({
      write(line, _encoding, done) {
        lines.push(String(line));
        // The refusal is delayed: its compression waits for its turn behind this work.
        if (String(line).includes('"status":503')) {
          for (let i = 0; i < 16; i++) pbkdf2('', '', 400_000, 32, 'sha256', () => {});
          release();
        }
        done();
      },
    }),
  );
  const shop = await startShop(t, { log, options: { deadlineMs: 500 } });
  const lock = await shop.knex.transaction();
  await lock.raw('lock table cart_items in access exclusive mode');
  release = () => void lock.rollback();
  const page = await shop.visitor().get('/cart');
  assert.equal(page.status, 503);
  assert.match(page.text, /problema passageiro.*<\/html>/s);
  assert.equal((await shop.metrics()).of('shop_errors_total', { type: 'database', route: '/cart' }), 1);
  await until('it is shown', async () => (await shop.visitor().get('/cart')).status === 200);
  assert.ok(!lines.join('').includes('after its deadline'), 'what succeeds late is no failure');
});

test('a page that is late for another reason is no database error, and its later failure is logged once', async (t) => {
  let answerPayment = () => {};
  const payments = testProvider({
    authorize: () =>
      new Promise((resolve) => {
        answerPayment = () => resolve({ approved: true });
      }),
  });
  const shop = await startShop(t, { payments, options: { deadlineMs: 600 } });
  const shopper = shop.visitor();
  await until('all caches are warm', async () => (await shopper.get('/')).status === 200);
  assert.equal((await shopper.post('/add_to_cart/1', { quantity: 1 })).status, 302);
  const before = await shop.metrics();
  await shop.knex.raw('alter table orders add constraint refuse check (false)');
  const page = await shopper.post('/checkout', CUSTOMER);
  answerPayment();
  assert.equal(page.status, 503);
  const line = await until('it is logged', () =>
    shop
      .log()
      .split('\n')
      .find((text) => text.includes('a page failed after its deadline')),
  );
  const { level, requestId, route, error, cause } = JSON.parse(line);
  assert.deepEqual({ level, route, error }, { level: 50, route: '/checkout', error: 'internal' });
  assert.equal(requestId, page.headers.get('x-request-id'));
  assert.match(cause.message, /violates check constraint/);
  assert.equal(shop.log().split('after its deadline').length, 2);
  const change = (await shop.metrics()).since(before);
  assert.equal(change.of('shop_errors_total', { type: 'overload', route: '/checkout' }), 1);
  assert.equal(change.of('shop_errors_total'), 1);

  await shop.knex.raw('alter table orders drop constraint refuse');
  assert.equal((await shopper.post('/checkout', CUSTOMER)).status, 503);
  answerPayment();
  await until('the order is made all the same', async () => (await shop.knex('orders')).length === 1);
  assert.match((await shopper.post('/checkout', CUSTOMER)).location ?? '', /^\/order_confirmation\//);
});

test('a form with mistakes is shown again for one query, that of its cart', async (t) => {
  const { shop, statements } = await recordStatements(t, await startShop(t));
  const shopper = shop.visitor();
  await shopper.post('/add_to_cart/1', { quantity: 1 });
  statements.length = 0;
  const page = await shopper.post('/checkout', { ...CUSTOMER, zip: 'x' });
  assert.equal(page.status, 422);
  assert.match(page.text, /name="zip".*<\/html>/s);
  assert.equal(statements.length, 1, statements.join('\n'));
  assert.match(statements[0] ?? '', /from "carts"/);
});

test('the log has one line for each request, without query, cookies and body', async (t) => {
  const shop = await startShop(t);
  const visitor = shop.visitor();
  await visitor.get('/shop?q=segredo');
  await visitor.post('/add_to_cart/1', { quantity: 1, secret: 'segredo' });
  const lines = shop
    .log()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.deepEqual(
    lines.map(({ method, route, status }) => `${method} ${route} ${status}`),
    ['GET /shop 200', 'POST /add_to_cart/:id 302'],
  );
  assert.ok(lines.every(({ durationMs, requestId }) => durationMs >= 0 && requestId));
  assert.doesNotMatch(shop.log(), /segredo|fake_shop/);
});
