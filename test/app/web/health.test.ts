import assert from 'node:assert/strict';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { openPool } from '../../support/database.ts';
import { startShop } from '../../support/shop.ts';
import { whenDone } from '../../support/wait.ts';

/** The two seconds of a page, and as much again for a busy machine. */
const DEADLINE_MS = 4_000;

async function serveMetrics(t: TestContext, listener: RequestListener): Promise<URL> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  whenDone(t, () => {
    server.closeAllConnections();
    server.close();
  });
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/metrics`);
}

test("/readyz follows the worker's state, and /livez does not", async (t) => {
  let ready = false;
  const shop = await startShop(t, { ready: () => ready });
  const visitor = shop.visitor();
  assert.equal((await visitor.get('/readyz')).status, 503);
  assert.equal((await visitor.get('/livez')).status, 200);
  ready = true;
  assert.equal((await visitor.get('/readyz')).status, 200);
  assert.equal((await shop.metrics()).of('shop_errors_total'), 0);
});

test('pages without a database are a quick 503 with Retry-After, and the worker lives on', async (t) => {
  const shop = await startShop(t);
  const closedPort = new URL(await serveMetrics(t, () => {})).port;
  const hanging = `postgres://u:p@127.0.0.1:${closedPort}/x`;
  for (const url of ['postgres://u:p@127.0.0.1:1/x', hanging]) {
    const database = openPool(t, { url });
    const cut = await shop.another({ database });
    const visitor = cut.visitor();

    const startedMs = performance.now();
    const pages = await Promise.all(['/', '/shop', '/detail/1', '/cart', '/checkout'].map((path) => visitor.get(path)));
    pages.push(await visitor.post('/add_to_cart/1', { quantity: 1 }));
    assert.ok(performance.now() - startedMs < 2 * DEADLINE_MS, 'two rounds');
    for (const page of pages) {
      assert.equal(page.status, 503);
      assert.ok(Number(page.headers.get('retry-after')) >= 1);
      assert.match(page.text, /problema passageiro/);
    }
    assert.equal((await visitor.get('/livez')).status, 200);
    assert.equal((await visitor.get('/readyz')).status, 503);
    assert.equal((await visitor.get('/static/shop.css')).status, 200);
    const metrics = await cut.metrics();
    assert.equal(metrics.of('shop_errors_total', { type: 'database' }), pages.length);
    assert.equal(metrics.of('shop_errors_total'), pages.length);

    // A balancer still sends these requests when readiness does not depend on the database.
    const reached = await shop.another({ database, options: { readyWithoutDatabase: true } });
    assert.equal((await reached.visitor().get('/readyz')).status, 200);
  }
});

test('a worker that is ready without a database is not ready while it starts or stops', async (t) => {
  const shop = await startShop(t, { ready: () => false, options: { readyWithoutDatabase: true } });
  assert.equal((await shop.visitor().get('/readyz')).status, 503);
});

test('a database that is slow or cuts its connections causes 503 and nothing else', async (t) => {
  const shop = await startShop(t);
  const visitor = shop.visitor();
  await visitor.post('/add_to_cart/1', { quantity: 1 });

  const lock = await shop.knex.transaction();
  await lock.raw('lock table cart_items in access exclusive mode');
  const startedMs = performance.now();
  const [page, json] = await Promise.all([visitor.get('/cart'), visitor.get('/cart', { accept: 'application/json' })]);
  assert.ok(performance.now() - startedMs < DEADLINE_MS);
  await lock.rollback();
  assert.equal(page.status, 503);
  assert.equal(JSON.parse(json.text).error.type, 'database');

  await shop.knex.raw(
    `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`,
  );
  const statuses = [];
  for (let i = 0; i < 5; i++) statuses.push((await visitor.get('/cart')).status);
  assert.equal(statuses.at(-1), 200, statuses.join());
  assert.ok(statuses.every((status) => status === 200 || status === 503));
});

test('an exhausted pool causes a 503 in time, and the metrics show a wait for a connection', async (t) => {
  const shop = await startShop(t);
  const database = openPool(t, shop, { poolMax: 1 });
  const small = await shop.another({ database });
  const visitor = small.visitor();
  assert.equal((await visitor.get('/cart')).status, 200);

  const held = await database.transaction();
  const startedMs = performance.now();
  const page = await visitor.get('/cart');
  assert.equal(page.status, 503);
  assert.ok(performance.now() - startedMs < DEADLINE_MS);
  await held.rollback();

  assert.equal((await visitor.get('/cart')).status, 200);
  const waited = (await small.metrics()).of('shop_request_time_seconds_total', { route: '/cart', spent: 'db_wait' });
  assert.ok(waited > 1, String(waited));
});

test("the shop passes on the primary's metrics byte for byte", async (t) => {
  const body = gzipSync('shop_workers{state="serving"} 2\n'.repeat(200));
  const endpoint = await serveMetrics(t, (request, response) => {
    const { authorization, accept } = request.headers;
    if (authorization !== 'Bearer t0ken') {
      response.writeHead(401, { 'www-authenticate': 'Bearer' }).end('no');
    } else if (accept === 'application/openmetrics-text' && request.url === '/metrics?worker=2') {
      response.writeHead(200, { 'content-type': 'application/openmetrics-text', 'content-encoding': 'gzip' }).end(body);
    } else {
      response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4' }).end('x '.repeat(2000));
    }
  });
  const shop = await startShop(t, { metricsEndpoint: endpoint });
  const get = (path: string, headers: Record<string, string>) => fetch(`${shop.origin}${path}`, { headers });

  const zipped = await get('/metrics?worker=2', {
    accept: 'application/openmetrics-text',
    'accept-encoding': 'gzip',
    authorization: 'Bearer t0ken',
  });
  assert.equal(zipped.headers.get('content-encoding'), 'gzip');
  assert.equal(zipped.headers.get('content-type'), 'application/openmetrics-text');
  assert.equal(zipped.headers.get('content-length'), String(body.length));
  assert.match(await zipped.text(), /^shop_workers/);

  const plain = await get('/metrics', { authorization: 'Bearer t0ken', 'accept-encoding': 'gzip' });
  assert.equal(plain.headers.get('content-encoding'), null);
  assert.equal(plain.headers.get('content-type'), 'text/plain; version=0.0.4');
  assert.equal((await plain.text()).length, 4000);

  const refused = await get('/metrics', {});
  assert.equal(refused.status, 401);
  assert.equal(refused.headers.get('www-authenticate'), 'Bearer');
  const metrics = await shop.metrics();
  assert.equal(metrics.of('shop_errors_total', { type: 'forbidden', route: '/metrics' }), 1);
  assert.equal(metrics.of('shop_errors_total'), 1);
});

test('/metrics is a 404 when it is switched off, and a 503 when the primary hangs', async (t) => {
  const shop = await startShop(t);
  assert.equal((await shop.visitor().get('/metrics')).status, 404);
  const hanging = await shop.another({ metricsEndpoint: await serveMetrics(t, () => {}) });
  assert.equal((await hanging.visitor().get('/metrics')).status, 503);
});
