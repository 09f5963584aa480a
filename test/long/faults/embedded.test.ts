import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findRunningPostgres } from '../../../src/db/index.ts';
import { assertWholeOrders, fillShelf, startBuyers } from '../../support/buyers.ts';
import { startCluster } from '../../support/cluster.ts';
import { postmasterPid } from '../../support/embedded.ts';
import { until } from '../../support/wait.ts';

test('the shop recovers by itself with all its orders when its embedded database is killed', async (t) => {
  const shop = await startCluster(t, { workers: 2, database: 'embedded' });
  const { host, port, user, password, database } = (await findRunningPostgres(shop.dataDir)) as Record<string, unknown>;
  const url = `postgres://${user}:${password}@${host}:${port}/${database}`;
  await fillShelf(url);
  const before = await shop.status();
  const buyers = startBuyers(t, shop.shopUrl, 2);

  for (let round = 1; round <= 2; round++) {
    const ordered = buyers.purchases.orders.length;
    await until('a buyer has ordered', () => buyers.purchases.orders.length > ordered);
    const killed = await postmasterPid(shop.dataDir);
    process.kill(killed, 'SIGKILL');
    await until('a new one runs', async () => (await postmasterPid(shop.dataDir)) !== killed);
    await until('the shop is ready', async () => {
      const [ops, page] = await Promise.all([fetch(`${shop.opsUrl}/readyz`), shop.visitor().get('/cart')]);
      return ops.status === 200 && page.status === 200;
    });
  }

  const { complaints, orders } = await buyers.stop();
  assert.deepEqual(complaints, []);
  await assertWholeOrders(url, orders);
  assert.deepEqual((await shop.status()).workers, before.workers, 'no worker was replaced');
});
