import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startCluster } from '../../support/cluster.ts';
import { testDatabase } from '../../support/database.ts';
import { until } from '../../support/wait.ts';

test('a read-only server makes the shop answer 503 and not ready until it accepts writes again', async (t) => {
  const database = await testDatabase(t);
  const shop = await startCluster(t, { workers: 2, database });
  const name = new URL(database.url).pathname.slice(1);
  const ready = async (expected: number) => {
    const [ops, page] = await Promise.all([fetch(`${shop.opsUrl}/readyz`), fetch(`${shop.shopUrl}/readyz`)]);
    return ops.status === expected && page.status === expected;
  };
  await until('it is ready', () => ready(200));
  const before = await shop.metrics();

  // The state after a failover: open connections lead to a server that refuses writes, and stay open.
  await database.knex.raw('alter database ?? set default_transaction_read_only = on', [name]);
  await database.knex.raw(
    'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
  );
  await until('it is not ready', () => ready(503));
  await until('the metrics show it', async () => (await shop.metrics()).of('shop_db_up') === 0);
  const refused = await shop.visitor().post('/add_to_cart/1', { quantity: 1 });
  assert.equal(refused.status, 503);
  assert.ok(Number(refused.headers.get('retry-after')) >= 1);
  const change = (await shop.metrics()).since(before);
  assert.equal(change.of('shop_errors_total', { type: 'internal' }), 0);
  assert.ok(change.of('shop_errors_total', { type: 'database' }) > 0);

  await database.knex.raw('alter database ?? reset default_transaction_read_only', [name]);
  await until('it is ready', () => ready(200));
  await until('the metrics show it', async () => (await shop.metrics()).of('shop_db_up') === 1);
  await until('both workers take additions', async () => {
    const adds = Array.from({ length: 8 }, () => shop.visitor().post('/add_to_cart/1', { quantity: 1 }));
    return (await Promise.all(adds)).every(({ status }) => status === 302);
  });
});
