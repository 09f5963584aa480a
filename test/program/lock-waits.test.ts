import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startCluster } from '../support/cluster.ts';
import { openPool, testDatabase } from '../support/database.ts';
import { watchLive } from '../support/live.ts';
import { PATIENT } from '../support/test-server.ts';
import { until, whenDone } from '../support/wait.ts';

test('while a statement waits for a lock, the live page and the log say who holds it', async (t) => {
  const { url, knex } = await testDatabase(t);
  const shop = await startCluster(t, { workers: 1, database: { url } });
  const viewer = await watchLive(t, shop);
  assert.deepEqual(viewer.frame().lockWaits, []);

  const holder = openPool(t, { url }, { applicationName: 'a forgotten psql', deadlines: PATIENT });
  const transaction = await holder.transaction();
  whenDone(t, () => transaction.rollback());
  await transaction('products').where({ id: 1 }).update({ stock: 7 });
  const waiting = Promise.resolve(knex('products').where({ id: 1 }).update({ stock: 8 }));

  const [wait] = await until(
    'the wait is shown',
    () => viewer.frame().lockWaits.length > 0 && viewer.frame().lockWaits,
  );
  assert.equal(wait?.waiting.statement, 'update "products" set "stock" = $1 where "id" = $2');
  assert.equal(wait?.blocking.application, 'a forgotten psql');
  assert.equal(wait?.blocking.state, 'idle in transaction');
  const page = await (await fetch(shop.opsUrl)).text();
  assert.match(page, /a forgotten psql, pid \d+, idle in transaction, transação aberta há/);
  const line = await until('the log has it', () =>
    shop
      .output()
      .split('\n')
      .find((each) => each.includes('a statement waits for a lock')),
  );
  assert.equal(JSON.parse(line).blocking.application, 'a forgotten psql');

  await transaction.rollback();
  await waiting;
  await until('the wait is gone', () => viewer.frame().lockWaits.length === 0);
});
