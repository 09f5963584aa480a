import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { assertWholeOrders, fillShelf, startBuyers } from '../../support/buyers.ts';
import { type RunningCluster, startCluster } from '../../support/cluster.ts';
import { until } from '../../support/wait.ts';
import { observeOutage } from './outage.ts';
import { startOwnServer } from './server.ts';

/** This time is the case itself: backoffs, idle timeouts and queues must not grow with it. */
const OUTAGE_MS = 30_000;
const BUYERS = 8;

/** Of the workers and the primary together. */
async function openFiles(shop: RunningCluster): Promise<number> {
  const { workers } = await shop.status();
  const pids = [shop.pid, ...workers.map(({ pid }) => pid)];
  const files = await Promise.all(pids.map((pid) => readdir(`/proc/${pid}/fd`)));
  return files.reduce((sum, { length }) => sum + length, 0);
}

test('the shop survives 30 s without its database, shut down or frozen, while people shop', async (t) => {
  const server = await startOwnServer(t);
  await fillShelf(server.url);
  // Clients' idle connections must not be taken for what an outage leaves.
  const shop = await startCluster(t, { workers: 2, database: server, env: { KEEP_ALIVE_SECONDS: '2' } });
  const files = await openFiles(shop);
  const before = await shop.status();
  const buyers = startBuyers(t, shop.shopUrl, BUYERS);
  const { purchases } = buyers;
  await until('people shop', () => purchases.orders.length > 5 * BUYERS);

  for (const [how, strike, end] of [
    ['shut down', server.stop, server.start],
    ['frozen', server.freeze, server.thaw],
  ] as const) {
    await t.test(how, (sub) =>
      observeOutage(sub, shop, strike, async () => {
        await sleep(OUTAGE_MS);
        await end();
      }),
    );
    const ordered = purchases.orders.length;
    await until('people shop again', () => purchases.orders.length > ordered + 5 * BUYERS);
  }
  const { complaints, orders, slowestMs, statuses } = await buyers.stop();
  t.diagnostic(`${orders.length} orders; slowest answer ${Math.round(slowestMs)} ms; ${JSON.stringify([...statuses])}`);
  assert.deepEqual(complaints, []);
  await until('connections and files are as before', async () => (await openFiles(shop)) <= files + 5);
  await assertWholeOrders(server.url, orders);
  assert.deepEqual((await shop.status()).workers, before.workers, 'no worker was replaced');
});
