import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { checkAddresses } from '../../src/cluster/addresses.ts';
import { readConfig } from '../../src/config.ts';
import { type RunningCluster, spawnShop, startCluster } from '../support/cluster.ts';
import { activity, testDatabase } from '../support/database.ts';
import { connectRaw } from '../support/raw-client.ts';
import { isAlive, temporaryFolder } from '../support/system.ts';
import { until, whenDone } from '../support/wait.ts';

/** Whether every process of a shop has ended. */
async function allGone(pids: number[]): Promise<boolean> {
  for (const pid of pids) if (await isAlive(pid)) return false;
  return true;
}

/** Puts one unit into the cart, which must survive a stop. */
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
    await until('the cart still exists', async () => (await second.metrics()).of('shop_active_cart_sessions') === 1);
    // The keys that sign the cookies are kept too, readable by this user alone.
    assert.match((await visitor.get(`${second.shopUrl}/cart`)).text, /class="badge">1</);
    assert.equal((await stat(join(dataDir, 'session-keys'))).mode & 0o777, 0o600);
  });
}

test('a worker in an endless loop exits after its primary was killed', async (t) => {
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

test('a worker in an endless loop in its start exits after its primary was killed', async (t) => {
  const folder = await temporaryFolder(t);
  const [loop, looping] = [join(folder, 'loop'), join(folder, 'looping')];
  const loopBeforeListening = `
    import { existsSync, writeFileSync } from 'node:fs';
    import { Server } from 'node:net';
    const { listen } = Server.prototype;
    Server.prototype.listen = function (...options) {
      if (existsSync(${JSON.stringify(loop)})) {
        writeFileSync(${JSON.stringify(looping)}, '');
        for (;;);
      }
      return listen.apply(this, options);
    };`;
  const preloaded = `data:text/javascript,${encodeURIComponent(loopBeforeListening)}`;
  const shop = await startCluster(t, { workers: 1, env: { NODE_OPTIONS: `--import=${preloaded}` } });
  writeFileSync(loop, '');
  process.kill(shop.pid, 'SIGHUP');
  await until('the successor runs in circles', () => existsSync(looping));
  const family = await shop.processes();

  await shop.stop('SIGKILL');
  await until('no process is left', () => allGone(family));
});

test('a second signal exits at once', async (t) => {
  const shop = await startCluster(t);
  const family = await shop.processes();
  const { workers } = await shop.status();
  // A stopped worker cannot drain, so the first signal has to wait for it.
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

test('a worker that dies is replaced in its place after every kind of end', async (t) => {
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
    // A worker that received SIGTERM, although not from the primary, has not failed.
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

test('an order that is committed after its client has hung up is counted, even if its worker exits', async (t) => {
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
  await until('the commit is under way', () => activity(knex).where({ wait_event: 'PgSleep' }).first('pid'));
  client.socket.destroy();
  process.kill((await shop.status()).workers[0]?.pid as number, 'SIGTERM');
  await until('it has left', async () => (await shop.status()).workers[0]?.restarts === 1);

  assert.equal((await knex('cart_items').select()).length, 1);
  const change = (await shop.metrics()).since(before);
  assert.equal(change.of('shop_cart_additions_total', { product: 'mochila-urbana' }), 1);
});

/** Another program that listens on a port. */
async function squat(): Promise<{ port: number; close(): Promise<void> }> {
  const open = new Set<Socket>();
  const server = createServer((socket) => open.add(socket)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      for (const socket of open) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function occupied(t: TestContext): Promise<number> {
  const { port, close } = await squat();
  whenDone(t, close);
  return port;
}

/** The output of a failed start, which is one line. */
async function failedStart(t: TestContext, env: Record<string, string>): Promise<string> {
  const { child, output } = spawnShop({
    PORT: '0',
    METRICS_PORT: '0',
    HOST: '127.0.0.1',
    DATA_DIR: await temporaryFolder(t),
    WORKERS: '2',
    ...env,
  });
  const [code] = await once(child, 'close');
  assert.equal(code, 1);
  // It may log on a busy machine that it still waits.
  const lines = output()
    .split('\n')
    .filter((line) => !line.includes('still waiting'));
  assert.equal(lines.length, 1, output());
  // The output is then not a line of the log.
  if (env.LOG_LEVEL === 'silent') return lines[0] as string;
  const { level, msg } = JSON.parse(lines[0] as string) as { level: number; msg: string };
  assert.equal(level, 60);
  return msg;
}

test('an address that cannot be used ends the start with one line that names it, its variable and a remedy', async (t) => {
  const port = await occupied(t);
  const metricsPort = await occupied(t);
  const taken = await failedStart(t, { PORT: String(port) });
  assert.match(
    taken,
    new RegExp(
      `^Can't listen on 127\\.0\\.0\\.1:${port} \\(PORT\\): another program listens there\\. Try: PORT=\\d+ npm start$`,
    ),
  );
  const suggested = Number(/PORT=(\d+)/.exec(taken)?.[1]);
  assert.ok(suggested > port);

  const both = await failedStart(t, { PORT: String(port), METRICS_PORT: String(metricsPort), LOG_LEVEL: 'silent' });
  assert.match(
    both,
    new RegExp(
      `:${port} \\(PORT\\): .*:${metricsPort} \\(METRICS_PORT\\): .* Try: PORT=\\d+ METRICS_PORT=\\d+ npm start$`,
    ),
  );

  // 192.0.2.0/24 is for documentation, so no machine has such an address (RFC 5737).
  const elsewhere = await failedStart(t, { HOST: '192.0.2.1' });
  assert.match(
    elsewhere,
    /192\.0\.2\.1:0 \(HOST\): this machine has no address 192\.0\.2\.1\. Try: HOST=127\.0\.0\.1 npm start/,
  );
  const unknown = await failedStart(t, { METRICS_HOST: 'no-such-host.invalid' });
  assert.match(
    unknown,
    /\(METRICS_HOST\): the name no-such-host\.invalid is not known here\. Try: METRICS_HOST=127\.0\.0\.1/,
  );
});

test('a port that becomes free within the wait is used', async (t) => {
  const { port, close } = await squat();
  whenDone(t, close);
  const shop = { host: '127.0.0.1', port };
  const config = {
    ...readConfig({}),
    shop: { ...readConfig({}).shop, ...shop },
    metrics: { host: '127.0.0.1', port: 0, token: null },
  };
  const checked = checkAddresses(config, 60_000);
  await close();
  await checked;
});

test('a second start in the same folder ends with one line that names the first and how to start beside it', async (t) => {
  const first = await startCluster(t, { database: 'embedded', workers: 1 });
  const env = { DATA_DIR: first.dataDir, PORT: new URL(first.shopUrl).port, METRICS_PORT: new URL(first.opsUrl).port };
  const said = await failedStart(t, env);
  assert.match(said, new RegExp(`${first.dataDir} is in use by process ${first.pid}, `));
  assert.match(said, /To start this one beside it: DATA_DIR=\S.*2'? PORT=\d+ METRICS_PORT=\d+ npm start$/);
  assert.equal((await first.visitor().get('/')).status, 200);
  await first.stop();
  assert.match(first.output().split('\n').at(-1) ?? '', new RegExp(`"stopped: the data is kept in ${first.dataDir}"`));
});

test('a slow database is reported every few seconds, and a signal ends the start at once', async (t) => {
  // It accepts connections and sends nothing.
  const { port, close } = await squat();
  whenDone(t, close);
  const { child, output } = spawnShop({
    PORT: '0',
    METRICS_PORT: '0',
    DATABASE_URL: `postgres://shop:secret@127.0.0.1:${port}/shop`,
    DRAIN_DELAY_SECONDS: '600',
  });
  whenDone(t, () => child.kill('SIGKILL'));
  const ended = once(child, 'close');
  await until('it says twice what it waits for', () => (output().match(/waiting for the database/g) ?? []).length > 1);
  child.kill('SIGTERM');
  assert.deepEqual(await ended, [0, null]);
  assert.match(output(), /stopping before the shop is ready.*\n.*"stopped: all processes of the shop have ended"/);
});

test('a folder that cannot be created ends the start with advice', async () => {
  const { child, output } = spawnShop({ PORT: '0', METRICS_PORT: '0', DATA_DIR: '/dev/null/data' });
  const [code] = await once(child, 'close');
  assert.equal(code, 1);
  assert.match(output(), /\/dev\/null\/data can't be used as a folder .* set DATA_DIR to another one/);
});

test('the addresses are logged at every LOG_LEVEL', async (t) => {
  const shop = await startCluster(t, { workers: 1, env: { LOG_LEVEL: 'silent' } });
  assert.equal(shop.output().split('\n').length, 1);
});
