import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { assertWholeOrders, fillShelf, startBuyers } from '../../support/buyers.ts';
import { type RunningCluster, readResources, startCluster } from '../../support/cluster.ts';
import { until } from '../../support/wait.ts';
import { observeOutage } from './outage.ts';
import { startOwnServer } from './server.ts';

/** By hand: `OUTAGE_SECONDS=30`, so long that backoffs, idle timeouts and queues would show if they grew with it. */
const OUTAGE_SECONDS = Number(process.env.OUTAGE_SECONDS ?? 6);
const BUYERS = 8;

/** Open files and connections of the workers and the primary together. */
async function openFiles(shop: RunningCluster): Promise<number> {
  return (await readResources(shop)).reduce((sum, { descriptors }) => sum + descriptors, 0);
}

test(`the shop survives ${OUTAGE_SECONDS} s without its database, shut down or frozen, while people shop`, async (t) => {
  const server = await startOwnServer(t);
  await fillShelf(server.url);
  // Idle connections of clients must not count as leftovers of an outage.
  const shop = await startCluster(t, { workers: 2, database: server, env: { KEEP_ALIVE_SECONDS: '2' } });
  const files = await openFiles(shop);
  const before = await shop.status();
  const buyers = startBuyers(t, shop.shopUrl, BUYERS);
  const { purchases } = buyers;
  await until('buyers order', () => purchases.orders.length > 5 * BUYERS);

  for (const [how, strike, end] of [
    ['shut down', server.stop, server.start],
    ['frozen', server.freeze, server.thaw],
  ] as const) {
    await t.test(how, (sub) =>
      observeOutage(sub, shop, strike, async () => {
        await sleep(1000 * OUTAGE_SECONDS);
        await end();
      }),
    );
    const ordered = purchases.orders.length;
    await until('buyers order again', () => purchases.orders.length > ordered + 5 * BUYERS);
  }
  const { complaints, orders, slowestMs, statuses } = await buyers.stop();
  t.diagnostic(`${orders.length} orders; slowest answer ${Math.round(slowestMs)} ms; ${JSON.stringify([...statuses])}`);
  assert.deepEqual(complaints, []);
  await until('connections and files are as before', async () => (await openFiles(shop)) <= files + 5);
  await assertWholeOrders(server.url, orders);
  assert.deepEqual((await shop.status()).workers, before.workers, 'no worker was replaced');
});
