import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { prepareDatabase } from '../../src/db/index.ts';
import { projectRoot } from '../../src/paths.ts';
import { type RunningCluster, startCluster } from '../support/cluster.ts';
import { openPool, testDatabase } from '../support/database.ts';
import { watchLive } from '../support/live.ts';
import { silentLog as log, recordLog } from '../support/log.ts';
import { PATIENT } from '../support/test-server.ts';
import { CUSTOMER } from '../support/visitor.ts';
import { until, whenDone } from '../support/wait.ts';
import { startPgbouncer } from './pgbouncer.ts';

const run = promisify(execFile);
const BUYERS = 5;

for (const mode of ['session', 'transaction'] as const) {
  test(`instances behind pgbouncer in ${mode} mode start side by side, sell and leave no lock`, async (t) => {
    const { url, knex } = await testDatabase(t);
    const through = { url: await startPgbouncer(t, url, mode) };
    const { log, lines } = recordLog('warn');
    await prepareDatabase(through, { log, connections: 100_000 });
    assert.deepEqual(lines, [], 'how many connections the pooler has of the server is not known');

    // Pgbouncer has 20 connections to the server. In session mode each belongs to one client.
    const options = { workers: 1, database: through, env: { DB_POOL_MAX: '4' } };
    const shops = [await startCluster(t, options), await startCluster(t, options)];
    for (const shop of shops) {
      for (let buyers = 0; buyers < BUYERS; buyers++) {
        const visitor = shop.visitor();
        assert.equal((await visitor.post('/add_to_cart/1', { quantity: 2 })).status, 302);
        assert.match((await visitor.post('/checkout', CUSTOMER)).location ?? '', /^\/order_confirmation\//);
      }
      const metrics = await shop.metrics();
      assert.equal(metrics.of('shop_db_up'), 1);
      assert.equal(metrics.of('shop_orders_total', { outcome: 'paid' }), BUYERS);
      const { rows } = await knex.raw('show max_connections');
      assert.equal(metrics.of('shop_db_server_connections_max'), Number(rows[0].max_connections));
      assert.ok(metrics.of('shop_db_server_transactions_total', { outcome: 'commit' }) > 0);
      assert.ok(metrics.of('shop_db_server_size_bytes') > 0);
      assert.ok(metrics.of('shop_db_server_longest_transaction_seconds') >= 0);
    }
    await knex('products').where({ id: 1 }).update({ price_cents: 12_345 });
    for (const shop of shops) {
      await until('a change of the catalogue is shown', async () =>
        (await shop.visitor().get('/detail/1')).text.includes('R$\u00a0123,45'),
      );
    }
    const viewer = await watchLive(t, shops[0] as RunningCluster);
    const holder = await knex.transaction();
    whenDone(t, () => holder.rollback());
    await holder('products').where({ id: 2 }).update({ stock: 50 });
    const waiter = openPool(t, through, { poolMax: 1, deadlines: PATIENT });
    const waiting = Promise.resolve(waiter('products').where({ id: 2 }).update({ stock: 51 }));
    await until('who waits for a lock is shown', () =>
      viewer.frame().lockWaits.some(({ blocking }) => blocking.statement.startsWith('update "products"')),
    );
    await holder.rollback();
    await waiting;
    viewer.leave();

    const advisory = knex('pg_locks')
      .where({ locktype: 'advisory' })
      .where('database', knex.raw('(select oid from pg_database where datname = current_database())'));
    await until('no lock is left', async () => (await advisory).length === 0);

    for (const command of ['migrate:latest', 'migrate:status', 'seed:run']) {
      await run(process.execPath, ['node_modules/knex/bin/cli.js', command], {
        cwd: projectRoot,
        env: { PATH: process.env.PATH, DATABASE_URL: through.url },
        timeout: 120_000,
      });
    }
    await until('no lock is left', async () => (await advisory).length === 0);
  });

  test(`deadlines hold behind pgbouncer in ${mode} mode, on the server too`, async (t) => {
    const { url, knex } = await testDatabase(t);
    const through = { url: await startPgbouncer(t, url, mode) };
    const statement = 100;
    const deadlines = { ...PATIENT, statement, idleInTransaction: 300 };
    const shop = openPool(t, through, { poolMax: 1, applicationName: 'pooled', deadlines });

    for (let round = 0; round < 50; round++) {
      const seconds = (statement + (round % 10) - 5) / 1000;
      await shop.raw('select pg_sleep(?)', [seconds]).catch(({ code }) => assert.equal(code, '57014'));
      assert.deepEqual(await shop('categories').where({ id: 1 }).pluck('id'), [1], 'only the late one is ended');
    }
    await assert.rejects(async () => shop.raw('with held as (update products set stock = 1) select pg_sleep(600)'), {
      code: '57014',
    });
    assert.equal(await knex('products').update({ stock: 2 }), 24, 'its locks are free');

    const forgotten = await shop.transaction();
    await forgotten('products').update({ stock: 3 });
    assert.equal(await knex('products').update({ stock: 4 }), 24, 'the server has ended it');
    await assert.rejects(async () => forgotten('products').first());
    await forgotten.rollback().catch(() => {});
    assert.deepEqual(await shop('products').where({ id: 1 }).pluck('stock'), [4]);
    const { rows: prepared } = await shop.raw('select name from pg_prepared_statements');
    assert.deepEqual(prepared, [], 'nothing is prepared on a connection that others use');
    for (const setting of ['statement_timeout', 'idle_in_transaction_session_timeout']) {
      const { rows } = await shop.raw(`show ${setting}`);
      assert.deepEqual(rows, [{ [setting]: '0' }], 'nothing stays on a connection of the server');
    }
  });
}

test('a refusal of pgbouncer ends the start at once and names the variable, and a passing fault is waited for', async (t) => {
  const { url } = await testDatabase(t);
  const through = await startPgbouncer(t, url, 'transaction');
  const wrong: Array<[Partial<URL>, RegExp]> = [
    [{ password: 'wrong' }, /refuses: .*DATABASE_URL/],
    [{ username: 'ghost' }, /refuses: .*DATABASE_URL/],
    [{ pathname: '/nothing' }, /refuses: .*database.*DATABASE_URL/],
    [{ search: '?options=-c%20work_mem=1MB' }, /refuses: unsupported startup parameter.*DATABASE_URL/],
  ];
  for (const [part, message] of wrong) {
    await assert.rejects(prepareDatabase({ url: Object.assign(new URL(through), part).href }, { log }), message);
  }
  const nowhere = new URL(url);
  nowhere.port = '1';
  const withoutServer = await startPgbouncer(t, nowhere.href, 'transaction');
  await assert.rejects(prepareDatabase({ url: withoutServer }, { log, patienceMs: 300 }), /did not answer within/);
});
