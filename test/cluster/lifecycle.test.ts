import assert from 'node:assert/strict';
import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { type RunningCluster, spawnShop, startCluster, temporaryFolder } from '../support/cluster.ts';
import { testDatabase } from '../support/database.ts';
import { connectRaw } from '../support/raw-client.ts';
import { isAlive, until } from '../support/wait.ts';

/** Every process of a shop has ended. */
async function allGone(pids: number[]): Promise<boolean> {
  for (const pid of pids) if (await isAlive(pid)) return false;
  return true;
}

/** One unit in the cart is what must survive a stop. */
async function addToCart(shop: RunningCluster) {
  const visitor = shop.visitor();
  await visitor.get('/');
  assert.equal((await visitor.post('/add_to_cart/1', { quantity: 1 })).status, 302);
  return visitor;
}

for (const signal of ['SIGTERM', 'SIGINT', 'SIGKILL'] as const) {
  test(`${signal} to the primary leaves no process behind, and the next start finds its data`, async (t) => {
    const dataDir = await temporaryFolder(t);
    const first = await startCluster(t, { database: 'embedded', dataDir });
    const visitor = await addToCart(first);
    const family = await first.processes();
    assert.ok(family.length > 4, 'primary, two workers, the database and its processes');

    const end = await first.stop(signal);
    if (signal !== 'SIGKILL') assert.deepEqual(end, { code: 0, signal: null });
    await until('no process is left', () => allGone(family));

    const second = await startCluster(t, { database: 'embedded', dataDir });
    await until('the cart is still there', async () => (await second.metrics()).of('shop_active_cart_sessions') === 1);
    // The keys that sign the cookies are kept too, and are nobody else's business.
    assert.match((await visitor.get(`${second.shopUrl}/cart`)).text, /class="badge">1</);
    assert.equal((await stat(join(dataDir, 'session-keys'))).mode & 0o777, 0o600);
  });
}

test('a worker in an endless loop does not outlive a killed primary', async (t) => {
  const loopAtSignal = `data:text/javascript,${encodeURIComponent("process.on('SIGUSR2', () => { for (;;); })")}`;
  const shop = await startCluster(t, { env: { NODE_OPTIONS: `--import=${loopAtSignal}` } });
  const family = await shop.processes();
  const worker = (await shop.status()).workers[0]?.pid as number;
  process.kill(worker, 'SIGUSR2');
  await until(
    'it runs in circles',
    async () => (await shop.metrics()).of('shop_metrics_worker_age_seconds', { worker: 1 }) > 2,
  );

  await shop.stop('SIGKILL');
  await until('no process is left', () => allGone(family));
});

test('a second signal exits at once', async (t) => {
  const shop = await startCluster(t);
  const family = await shop.processes();
  const { workers } = await shop.status();
  // A stopped worker can't drain, so the first signal has to wait for it.
  process.kill(workers[0]?.pid as number, 'SIGSTOP');
  const stopped = shop.stop('SIGTERM');
  await until('the primary is stopping', () => shop.output().includes('a second signal exits at once'));
  // Two presses close together count as one, so it is repeated until the primary is gone.
  await until('the second signal ends it', async () => {
    if (!(await isAlive(shop.pid))) return true;
    process.kill(shop.pid, 'SIGTERM');
    return false;
  });
  assert.deepEqual(await stopped, { code: 1, signal: null });
  await until('no process is left', () => allGone(family));
});

test('a worker that dies is replaced in its place, whatever ended it', async (t) => {
  const shop = await startCluster(t, { workers: 2 });
  for (const [round, signal] of (['SIGKILL', 'SIGTERM', 'SIGSEGV'] as const).entries()) {
    const before = await shop.status();
    const scrapeBefore = await shop.metrics();
    process.kill(before.workers[1]?.pid as number, signal);
    const after = await until(`place 2 is filled after ${signal}`, async () => {
      const status = await shop.status();
      return status.workers[1]?.state === 'serving' && status.workers[1].restarts === round + 1 && status;
    });
    assert.equal(after.workers[0]?.pid, before.workers[0]?.pid);
    assert.notEqual(after.workers[1]?.pid, before.workers[1]?.pid);
    const change = (await shop.metrics()).since(scrapeBefore);
    const reason = signal === 'SIGTERM' ? 'exit' : 'signal';
    assert.equal(change.of('shop_worker_restarts_total', { reason }), 1);
    // One that was told to go, though not by the primary, has not failed.
    assert.equal(change.of('shop_errors_total', { type: 'worker_crash' }), signal === 'SIGTERM' ? 0 : 1);
  }
  assert.equal((await shop.visitor().get('/')).status, 200);
});

test('a request in flight finishes when the shop stops', async (t) => {
  const shop = await startCluster(t, { workers: 2 });
  const { hostname, port } = new URL(shop.shopUrl);
  const body = 'quantity=1';
  const socket = connect({ host: hostname, port: Number(port) });
  let answer = '';
  socket.setEncoding('utf8').on('data', (chunk) => {
    answer += chunk;
  });
  socket.write(
    `POST /add_to_cart/1 HTTP/1.1\r\nHost: ${hostname}:${port}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: ${body.length}\r\n\r\n`,
  );
  await until('it has arrived', async () => (await shop.metrics()).of('http_requests_in_flight') === 1);

  const end = shop.stop('SIGTERM');
  await until('all workers drain', () =>
    fetch(`${shop.shopUrl}/livez`, { headers: { connection: 'close' } }).then(
      () => false,
      () => true,
    ),
  );
  const closed = once(socket, 'close');
  socket.write(body);
  await closed;

  assert.match(answer, /^HTTP\/1\.1 302 Found\r\n/);
  assert.match(answer, /^Connection: close\r$/m);
  assert.deepEqual(await end, { code: 0, signal: null });
});

test('what is committed after its client has hung up counts, though its worker leaves', async (t) => {
  const { url, knex } = await testDatabase(t);
  const shop = await startCluster(t, { workers: 1, database: { url } });
  const before = await shop.metrics();
  await knex.raw(`
    create function meanwhile() returns trigger language plpgsql as $$ begin perform pg_sleep(0.4); return null; end $$;
    create constraint trigger meanwhile after insert on cart_items deferrable initially deferred
    for each row execute function meanwhile()`);
  const client = connectRaw(t, shop.shopUrl);
  await client.send(
    'POST /add_to_cart/1 HTTP/1.1\r\nHost: shop\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 10\r\n\r\nquantity=1',
  );
  await until('the commit is under way', () => knex('pg_stat_activity').where({ wait_event: 'PgSleep' }).first('pid'));
  client.socket.destroy();
  process.kill((await shop.status()).workers[0]?.pid as number, 'SIGTERM');
  await until('it has left', async () => (await shop.status()).workers[0]?.restarts === 1);

  assert.equal((await knex('cart_items').select()).length, 1);
  const change = (await shop.metrics()).since(before);
  assert.equal(change.of('shop_cart_additions_total', { product: 'mochila-urbana' }), 1);
});

async function occupied(t: { after(fn: () => void): void }): Promise<number> {
  const server: Server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const address = server.address();
  return typeof address === 'object' && address ? address.port : 0;
}

for (const variable of ['PORT', 'METRICS_PORT']) {
  test(`a taken ${variable} ends the start with advice`, async (t) => {
    const port = await occupied(t);
    const { child, output } = spawnShop({
      PORT: '0',
      METRICS_PORT: '0',
      HOST: '127.0.0.1',
      DATA_DIR: await temporaryFolder(t),
      WORKERS: '2',
      [variable]: String(port),
    });
    const [code] = await once(child, 'close');
    assert.equal(code, 1);
    assert.match(output(), new RegExp(`Can't listen on 127.0.0.1:${port}: another program listens there`));
    if (variable === 'PORT')
      assert.match(output(), /"code":1,"signal":null,"reason":"failed_start","msg":"worker died"/);
  });
}

test('a folder that can not be made ends the start with advice', async () => {
  const { child, output } = spawnShop({ PORT: '0', METRICS_PORT: '0', DATA_DIR: '/dev/null/data' });
  const [code] = await once(child, 'close');
  assert.equal(code, 1);
  assert.match(output(), /\/dev\/null\/data can't be used as a folder .* set DATA_DIR to another one/);
});

test('the addresses are told whatever LOG_LEVEL is', async (t) => {
  const shop = await startCluster(t, { workers: 1, env: { LOG_LEVEL: 'silent' } });
  assert.equal(shop.output().split('\n').length, 1);
});
