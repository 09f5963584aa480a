import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { assertWholeOrders, fillShelf, startBuyers } from '../support/buyers.ts';
import { startCluster } from '../support/cluster.ts';
import { observeOutage } from '../support/outage.ts';
import { startProxy } from '../support/proxy.ts';
import { startOwnServer } from '../support/server.ts';

async function startAll(t: TestContext) {
  const server = await startOwnServer(t);
  const proxy = await startProxy(t, server);
  await fillShelf(server.url);
  const shop = await startCluster(t, { workers: 2, database: { url: proxy.through(server.url) } });
  return { server, proxy, shop };
}

test('whatever the database does, pages say so in time, and the shop returns with it', async (t) => {
  const { server, proxy, shop } = await startAll(t);
  const before = await shop.status();
  const buyers = startBuyers(t, shop.shopUrl, 3);
  const outage = (what: string, strike: () => unknown, heal: () => unknown) =>
    t.test(what, (sub) => observeOutage(sub, shop, strike, heal));

  await outage('it is shut down and started again', server.stop, server.start);
  await outage('it stands still', server.freeze, server.thaw);
  await outage('the network swallows everything', proxy.block, proxy.unblock);
  await outage(
    'it answers slowly',
    () => proxy.delay(700),
    () => proxy.delay(0),
  );
  let release = async () => {};
  await outage(
    'it has too many connections',
    async () => {
      release = await server.occupy();
    },
    () => release(),
  );

  const { complaints, orders, slowestMs, statuses } = await buyers.stop();
  t.diagnostic(`${orders.length} orders; slowest answer ${Math.round(slowestMs)} ms; ${JSON.stringify([...statuses])}`);
  assert.deepEqual(complaints, []);
  await assertWholeOrders(server.url, orders);
  assert.deepEqual((await shop.status()).workers, before.workers);
});
