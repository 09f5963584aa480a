import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type RunningCluster, startCluster } from '../../support/cluster.ts';
import { testDatabase } from '../../support/database.ts';
import { connectRaw } from '../../support/raw-client.ts';
import { startShop } from '../../support/shop.ts';
import { until } from '../../support/wait.ts';

interface Line {
  level: number;
  requestId: string;
  method: string;
  route: string;
  path: string;
  status: number;
  durationMs: number;
  error?: string;
  cause?: { message: string; stack: string };
}

const INFO = 30;
const WARN = 40;
const ERROR = 50;

function linesOf(shop: RunningCluster, wanted: (line: Line) => boolean): Promise<Line[]> {
  return until('it is logged', () => {
    const lines = shop
      .output()
      .split('\n')
      .map((line) => JSON.parse(line) as Line)
      .filter(wanted);
    return lines.length > 0 && lines;
  });
}

test('every request is one line with the id that its page shows and with the cause of its failure', async (t) => {
  const { knex, connection } = await testDatabase(t);
  const shop = await startCluster(t, { workers: 2, database: connection });
  const visitor = shop.visitor();
  const ask = async (request: ReturnType<typeof visitor.get>) => {
    const page = await request;
    const id = page.headers.get('x-request-id') ?? '';
    if (page.status >= 400) assert.ok(page.text.includes(id), 'the page shows the id');
    const lines = await linesOf(shop, (line) => line.requestId === id);
    assert.equal(lines.length, 1);
    return { ...page, line: lines[0] as Line };
  };

  const shown = await ask(visitor.get('/detail/1?secret=1'));
  const { durationMs, ...rest } = shown.line;
  assert.ok(durationMs > 0);
  assert.deepEqual(
    { level: rest.level, method: rest.method, route: rest.route, path: rest.path, status: rest.status },
    { level: INFO, method: 'GET', route: '/detail/:id', path: '/detail/1', status: 200 },
  );

  const missing = await ask(visitor.get('/detail/999'));
  assert.equal(missing.line.level, INFO);
  assert.equal(missing.line.error, 'not_found');
  assert.equal(missing.line.cause, undefined);

  await knex.raw('alter table carts rename column session_id to owner');
  const failed = await ask(visitor.get('/cart'));
  assert.equal(failed.status, 500);
  assert.equal(failed.line.level, ERROR);
  assert.match(failed.line.cause?.message ?? '', /session_id/);
  assert.doesNotMatch(failed.text, /session_id|column/);
  const mentions = shop
    .output()
    .split('\n')
    .filter((line) => line.includes('session_id'));
  assert.equal(mentions.length, 1, mentions.join('\n'));
});

test('text of a request neither forges a log line nor moves the cursor', async (t) => {
  const shop = await startCluster(t, { workers: 1, env: { TRUST_PROXY: 'true' } });
  const paths = [
    '/\x9b31mred',
    '/\xe2\x80\xaebackwards',
    '/\xc2\x85next-line',
    '/%0a{"level":60}',
    '/"},{"level":60,"msg":"',
    '/\\n\\u001b',
  ];
  let answered = 0;
  for (const path of paths) {
    const client = connectRaw(t, shop.shopUrl);
    await client.send(
      Buffer.from(`GET ${path} HTTP/1.1\r\nHost: x\r\nX-Request-Id: ${path}\r\nConnection: close\r\n\r\n`, 'latin1'),
    );
    await client.end(10_000);
    assert.match(client.answer(), /^HTTP\/1\.1 4/);
    // Node.js itself refused the rest.
    if (client.answer().includes('X-Request-Id')) answered++;
  }
  assert.ok(answered > 0);
  const lines = await until('each is logged', async () => {
    const logged = await linesOf(shop, ({ path }) => path !== undefined);
    return logged.length === answered && logged;
  });
  for (const line of shop.output().split('\n')) assert.match(line, /^[\x20-\x7e]*$/);
  for (const { level } of lines) assert.equal(level, INFO);
});

test('a client that has gone before the answer is a 499, as in the metrics, and no failure of a database that a stop cuts off', async (t) => {
  const { knex, connection } = await testDatabase(t);
  const shop = await startCluster(t, { workers: 1, database: connection, env: { DB_POOL_MAX: '1' } });
  const before = await shop.metrics();
  const upload = connectRaw(t, shop.shopUrl);
  const form = 'Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100';
  await upload.send(`POST /add_to_cart/1 HTTP/1.1\r\nHost: x\r\n${form}\r\n\r\nquant`);
  const lock = await knex.transaction();
  await lock.raw('lock table carts in access exclusive mode');
  const pages = Array.from({ length: 5 }, () => connectRaw(t, shop.shopUrl));
  const sentMs = performance.now();
  for (const page of pages) await page.send('GET /cart HTTP/1.1\r\nHost: x\r\n\r\n');
  await until('all wait', async () => (await shop.metrics()).of('http_requests_in_flight') === 6);
  for (const { socket } of [upload, ...pages]) socket.destroy();
  // On a busy machine, a page may have been refused as late before its client went.
  const wereInTime = performance.now() - sentMs < 1_000;
  const [cut] = await linesOf(shop, ({ method }) => method === 'POST');
  assert.deepEqual([cut?.status, cut?.error, cut?.level], [499, 'validation', INFO]);
  await until('it is counted', async () => {
    const change = (await shop.metrics()).since(before);
    return change.of('http_request_duration_seconds_count', { method: 'POST', status_code: 499 }) === 1;
  });

  assert.equal((await shop.stop()).code, 0);
  await lock.rollback();
  // A page that is late on a busy machine has a second line, without a status.
  const gone = await linesOf(shop, ({ route, status }) => route === '/cart' && status !== undefined);
  for (const { status } of gone) assert.ok(status === 499 || (status === 503 && !wereInTime), `status ${status}`);
  assert.equal(gone.length, pages.length);
  // At least one waited for the lock in vain. A wait for a connection that ends with the pool is no failure.
  for (const { status, error, level, cause } of gone) {
    if (status === 499) assert.equal(level, error ? WARN : INFO);
    assert.doesNotMatch(cause?.message ?? '', /aborted/);
  }
});

test("card numbers and e-mail addresses in a request's address are not logged", async (t) => {
  const shop = await startShop(t);
  const hidden: [path: string, logged: string][] = [
    ['/pay/4242424242424242', '/pay/[digits]'],
    ['/detail/4242424242424242', '/detail/[digits]'],
    ['/order_confirmation/4242-4242-4242-4242', '/order_confirmation/[digits]'],
    ['/order_confirmation/4242%204242%204242%204242', '/order_confirmation/[digits]'],
    ['/%34%32%34%32424242424242', '/[digits]'],
    ['/%2534%2532%2534%2532424242424242', '/[digits]'],
    ['/4242/4242/4242/4242/x', '/[digits]/x'],
    ['/%zz/4242%2-4242-4242-4242%', '/%25zz/[digits]%25'],
    ['/%EF%BC%94242-4242-4242-4242', '/[digits]'],
    // Nearly a card's number.
    ['/4242424242424241', '/[digits]'],
    [`/${'x'.repeat(190)}/4242424242424242`, `/${'x'.repeat(190)}/[digits]`],
    ['/u/ana.souza@example.com/orders', '/u/[email]/orders'],
    ['/u/ana%40example.com', '/u/[email]'],
    ['/u/ana%EF%BC%A0example.com', '/u/[email]'],
    [`/x/${'a'.repeat(1974)}@b.c/4539-1488-0343-6467`, '/x/[email]/[cut]'],
    [`/order_confirmation/${'4539148803436467/'.repeat(116)}4539-1488-0343-6467`, '/order_confirmation/[digits]9[cut]'],
    [`/detail/1/${'a'.repeat(1970)}/ana.silva%40example.com`, '/detail/[cut]'],
    [`/u/ana%${'25'.repeat(12)}40example.com`, '/u/[email]'],
    [`/pay/%${'25'.repeat(12)}34242424242424242`, '/pay/[digits]'],
    ['/u/ana%2540example.com?email=ana@example.com&card=4242424242424242', '/u/[email]'],
    // It is logged unchanged.
    ['/detail/12%20a', '/detail/12%20a'],
    ['/FS-ABCDEFGH234567AB/2026-11-26', '/FS-ABCDEFGH234567AB/2026-11-26'],
  ];
  for (const [path] of hidden) {
    const client = connectRaw(t, shop.origin);
    await client.send(`GET ${path} HTTP/1.1\r\nHost: x\r\nReferer: http://x${path}\r\nConnection: close\r\n\r\n`);
    await client.end(10_000);
  }
  const lines = shop
    .log()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
  assert.deepEqual(
    lines.map(({ path }) => path),
    hidden.map(([, logged]) => logged.slice(0, 200)),
  );
});

test('pictures and style sheets are logged below info unless they are missing', async (t) => {
  const shop = await startShop(t);
  const visitor = shop.visitor();
  const page = await visitor.get('/');
  const files = [...page.text.matchAll(/(?:src|href)="(\/static\/[^"]+)"/g)].map(([, path]) => path as string);
  assert.ok(files.length > 3);
  for (const file of files) await visitor.get(file);
  await visitor.get('/static/nothing.css');
  const told = shop
    .log()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line)
    .filter(({ level }) => level >= INFO)
    .map(({ path }) => path);
  assert.deepEqual(told, ['/', '/static/nothing.css']);
});

test("a client's mistake in an upload is one line, below error and without a stack", async (t) => {
  const shop = await startShop(t, {
    http: { requestTimeout: 1_000, headersTimeout: 1_000, connectionsCheckingInterval: 100 },
  });
  const post = 'POST /add_to_cart/1 HTTP/1.1\r\nHost: x\r\n';
  const form = `${post}Content-Type: application/x-www-form-urlencoded\r\n`;
  const uploads: Record<string, (client: ReturnType<typeof connectRaw>) => Promise<unknown>> = {
    'too slow': (client) => client.send(`${form}Content-Length: 100\r\n\r\nquant`),
    'broken off': async ({ send, socket }) => {
      await send(`${form}Content-Length: 100\r\n\r\nquant`);
      socket.destroy();
    },
    reset: async ({ send, socket }) => {
      await send(`${form}Content-Length: 100\r\n\r\nquant`);
      socket.resetAndDestroy();
    },
    garbled: (client) => client.send(`${form}Transfer-Encoding: chunked\r\n\r\n5\r\nquant\r\nzz\r\n`),
    'too large': (client) => client.send(`${form}Content-Length: 100000\r\n\r\n${'y'.repeat(100_000)}`),
    'no form': (client) => client.send(`${post}Content-Type: multipart/form-data\r\nContent-Length: 9000000\r\n\r\nyy`),
    'hung up before the answer': async ({ send, socket }) => {
      await send(`${form}Content-Length: 10\r\n\r\nquantity=1`);
      socket.resetAndDestroy();
    },
  };
  for (const [what, upload] of Object.entries(uploads)) {
    const before = shop.log().length;
    const client = connectRaw(t, shop.origin);
    await upload(client);
    await until(`${what} is logged`, () => /"msg":"request"/.test(shop.log().slice(before)));
    await client.end(20_000).catch(() => client.socket.destroy());
  }
  // Lines that follow the request's own line are written before the next request is answered.
  await shop.visitor().get('/livez');
  const told = shop
    .log()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line)
    .filter(({ level }) => level >= INFO);
  assert.equal(told.length, Object.keys(uploads).length, JSON.stringify(told));
  for (const line of told) {
    assert.ok(line.level <= WARN, JSON.stringify(line));
    assert.ok(!JSON.stringify(line).includes('stack'), JSON.stringify(line));
  }
});
