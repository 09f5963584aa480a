import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { assertWholeOrders, fillShelf, startBuyers } from '../../support/buyers.ts';
import { startCluster } from '../../support/cluster.ts';
import { startProxy } from '../../support/proxy.ts';
import { until } from '../../support/wait.ts';
import { observeOutage, returnsInTime } from './outage.ts';
import { startOwnServer } from './server.ts';

async function startAll(t: TestContext) {
  const server = await startOwnServer(t);
  const proxy = await startProxy(t, server.url);
  await fillShelf(server.url);
  const shop = await startCluster(t, { workers: 2, database: proxy });
  return { server, proxy, shop };
}

test('pages report any database fault in time, and the shop recovers with the database', async (t) => {
  const { server, proxy, shop } = await startAll(t);
  const before = await shop.status();
  const buyers = startBuyers(t, shop.shopUrl, 3);
  const outage = (what: string, strike: () => unknown, heal: () => unknown) =>
    t.test(what, (sub) => observeOutage(sub, shop, strike, heal));

  await outage('the database is shut down and started again', server.stop, server.start);
  await outage('the database is paused', server.freeze, server.thaw);
  await outage('the network swallows all data', proxy.block, proxy.unblock);
  await outage(
    'the database answers slowly',
    () => proxy.delay(700),
    () => proxy.delay(0),
  );
  let release = async () => {};
  await outage(
    'the database has too many connections',
    async () => {
      release = await server.occupy();
    },
    () => release(),
  );
  await t.test('the database drops all connections', async (sub) => {
    await server.dropConnections();
    await returnsInTime(sub, shop);
  });
  await t.test('the network cuts all connections', async (sub) => {
    proxy.cut();
    await returnsInTime(sub, shop);
  });
  await t.test('the network forgets all connections', async (sub) => {
    proxy.forget();
    await returnsInTime(sub, shop);
  });
  await t.test('the database restarts', async (sub) => {
    await server.stop();
    await server.start();
    await returnsInTime(sub, shop);
  });

  const { complaints, orders, slowestMs, statuses } = await buyers.stop();
  t.diagnostic(`${orders.length} orders; slowest answer ${Math.round(slowestMs)} ms; ${JSON.stringify([...statuses])}`);
  assert.deepEqual(complaints, []);
  assert.ok(orders.length > 0);
  await assertWholeOrders(server.url, orders);
  assert.deepEqual((await shop.status()).workers, before.workers, 'no worker was replaced');
});

test('workers start without the database, serve when it is back, and stop in order without it', async (t) => {
  const { server, shop } = await startAll(t);
  const allServe = (restarts: number[]) =>
    until(`all serve after ${restarts} restarts`, async () => {
      const { workers } = await shop.status();
      return workers.every(({ state, ...worker }, i) => state === 'serving' && worker.restarts === restarts[i]);
    });
  const scrape = await shop.metrics();
  await server.stop();

  process.kill((await shop.status()).workers[0]?.pid as number, 'SIGKILL');
  await allServe([1, 0]);
  process.kill(shop.pid, 'SIGHUP');
  await allServe([2, 1]);
  assert.equal((await shop.visitor().get('/')).status, 503);
  assert.equal((await shop.visitor().get('/livez')).status, 200);
  const crashes = (await shop.metrics()).since(scrape).of('shop_errors_total', { type: 'worker_crash' });
  assert.equal(crashes, 1);

  await server.start();
  await returnsInTime(t, shop);
  const series = ({ samples }: typeof scrape) =>
    new Set(samples.filter(({ name }) => name === 'shop_product_views_total').map(({ labels }) => labels.product));
  assert.deepEqual(series(await shop.metrics()), series(scrape));

  await server.freeze();
  const unanswered = Promise.all(['/cart', '/cart', '/checkout'].map((path) => shop.visitor().get(path)));
  await until('pages wait', async () => (await shop.metrics()).of('http_requests_in_flight') >= 3);
  const stoppedMs = performance.now();
  assert.deepEqual(await shop.stop(), { code: 0, signal: null }, 'it stops in order without its database too');
  t.diagnostic(`stopped after ${Math.round(performance.now() - stoppedMs)} ms`);
  for (const { status } of await unanswered) assert.equal(status, 503);
  assert.doesNotMatch(shop.output(), /is killed/);
});
