import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import type { Exposition } from '@techcommerce/cluster-metrics/testing';
import type { Knex } from 'knex';
import { openPool, testDatabase } from '../../support/database.ts';
import { PATIENT } from '../../support/test-server.ts';
import { until as untilWithin, whenDone } from '../../support/wait.ts';
import { measuredPrimary } from './measured-primary.ts';

/** PostgreSQL counts what an idle session did only after 10 s. */
const until = <T>(what: string, condition: () => Promise<T>) => untilWithin(what, condition, 180_000);

const ROWS = 'shop_db_server_rows_total';
const TRANSACTIONS = 'shop_db_server_transactions_total';
const DEADLOCKS = 'shop_db_server_deadlocks_total';

/** Series that PostgreSQL counts, as the README names them. */
const COUNTED: readonly (readonly [name: string, label: string, values: readonly string[]])[] = [
  [TRANSACTIONS, 'outcome', ['commit', 'rollback']],
  [ROWS, 'operation', ['returned', 'fetched', 'inserted', 'updated', 'deleted']],
  ['shop_db_server_blocks_total', 'source', ['cache', 'disk']],
];

/** Only the tests delete rows, so it is exact. */
const deleted = (scraped: Exposition) => scraped.of(ROWS, { operation: 'deleted' });
const committed = (scraped: Exposition) => scraped.of(TRANSACTIONS, { outcome: 'commit' });

async function deleteRows(knex: Knex, rows: number): Promise<void> {
  await knex.raw('create table if not exists counted (id integer)');
  await knex.raw('insert into counted select generate_series(1, ?::int)', [rows]);
  await knex.raw('delete from counted');
}

/** Two transactions that wait for each other: PostgreSQL ends one. */
async function causeDeadlock(knex: Knex): Promise<void> {
  const transactions = await Promise.all([knex.transaction(), knex.transaction()]);
  for (const [id, transaction] of transactions.entries()) {
    await transaction.raw('select pg_advisory_xact_lock(?)', [id]);
  }
  const crossed = await Promise.allSettled(
    transactions.map(async (transaction, id) => {
      await transaction.raw('select pg_advisory_xact_lock(?)', [1 - id]);
      await transaction.commit();
    }),
  );
  assert.deepEqual(crossed.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  await Promise.all(transactions.map((transaction) => transaction.rollback()));
}

test("the counters begin at PostgreSQL's own counts and grow with them", async (t) => {
  const { url, knex } = await testDatabase(t);
  await deleteRows(knex, 1000);
  await until('PostgreSQL has counted', async () => {
    const row = await knex('pg_stat_database').where('datname', knex.raw('current_database()')).first('tup_deleted');
    return row.tup_deleted >= 1000;
  });
  const { scrape } = await measuredPrimary(t, url);
  const first = await until('a reading', async () => {
    const scraped = await scrape();
    return scraped.has(DEADLOCKS, {}) && scraped;
  });
  for (const [name, label, values] of COUNTED) {
    for (const value of values) assert.ok(first.has(name, { [label]: value }), `${name}{${label}="${value}"}`);
  }
  assert.ok(deleted(first) >= 1000);
  assert.ok(first.of('shop_db_server_blocks_total', { source: 'cache' }) > 0);

  await deleteRows(knex, 500);
  await knex('products').update({ stock: 1 });
  for (let i = 0; i < 3; i++) await knex.raw('select no_such_column').catch(() => {});
  await causeDeadlock(knex);
  const last = await until('all of it is counted', async () => {
    const scraped = await scrape();
    const { of } = scraped.since(first);
    const isCounted =
      of(ROWS, { operation: 'inserted' }) >= 500 &&
      of(ROWS, { operation: 'updated' }) >= 24 &&
      of(ROWS, { operation: 'deleted' }) >= 500 &&
      of(TRANSACTIONS, { outcome: 'commit' }) >= 3 &&
      of(TRANSACTIONS, { outcome: 'rollback' }) >= 4 &&
      of(DEADLOCKS) >= 1;
    return isCounted && scraped;
  });
  const grown = last.since(first);
  assert.equal(grown.of(ROWS, { operation: 'deleted' }), 500);
  assert.equal(grown.of(DEADLOCKS), 1);
});

test('instances show the same counts, which stay when PostgreSQL counts anew and for instances that start later', async (t) => {
  const { url, knex } = await testDatabase(t);
  const instances = [await measuredPrimary(t, url), await measuredPrimary(t, url)];
  await deleteRows(knex, 1000);
  await causeDeadlock(knex);
  const scrapes = () => Promise.all(instances.map(({ scrape }) => scrape()));
  let highest = await until('all instances have counted', async () => {
    const scraped = await scrapes();
    return scraped.every((each) => deleted(each) >= 1000 && each.of(DEADLOCKS) === 1) && scraped;
  });
  /** Scrapes all instances that were there before; none has gone back. */
  async function scrapeAll(): Promise<Exposition[]> {
    const scraped = await scrapes();
    for (const [i, before] of highest.entries()) assert.deepEqual(scraped[i]?.decreases(before), []);
    highest = scraped;
    return scraped;
  }
  /** Waits for two readings, so that one has seen what was done before. */
  async function untilReadAgain(): Promise<void> {
    for (let i = 0; i < 2; i++) {
      const before = highest.map(committed);
      await until('a further reading', async () => {
        const scraped = await scrapeAll();
        return scraped.every((each, j) => committed(each) > (before[j] ?? 0));
      });
    }
  }

  const before = deleted(highest[0] as Exposition);
  await knex.raw('select pg_stat_reset()');
  await untilReadAgain();
  instances.push(await measuredPrimary(t, url));
  await deleteRows(knex, 200);
  await until('all three show the same', async () => {
    const scraped = await scrapeAll();
    return scraped.every((each) => deleted(each) === before + 200 && each.of(DEADLOCKS) === 1);
  });

  // As after a crash of PostgreSQL: it counts anew, the reading is lost, and the first that takes one knows nothing.
  await knex.transaction(async (transaction) => {
    await transaction.raw('select pg_stat_reset()');
    await transaction('gauge_readings')
      .where('name', 'like', 'shop gauges%')
      .update({ reading: transaction.raw("jsonb_set(reading, '{server,totals}', reading #> '{server,counts}')") });
  });
  await untilReadAgain();
  await deleteRows(knex, 50);
  await until('all three have gone on from there', async () => {
    const scraped = await scrapeAll();
    return scraped.every((each) => deleted(each) === before + 250 && each.of(DEADLOCKS) === 1);
  });
});

test('a wait for a lock and an open transaction are shown while they last', async (t) => {
  const { url, knex } = await testDatabase(t);
  const { scrape } = await measuredPrimary(t, url);
  const holder = await knex.transaction();
  await holder('products').where({ id: 1 }).update({ stock: 1 });
  const waiting = knex('products').where({ id: 1 }).update({ stock: 2 });
  const done = waiting.then(() => {});
  const seconds = await until('one waits for a transaction that gets older', async () => {
    const scraped = await scrape();
    const age = scraped.of('shop_db_server_longest_transaction_seconds');
    return scraped.of('shop_db_server_waiting_locks') === 1 && age > 1 && age;
  });
  await holder.rollback();
  await done;
  await until('no session waits, and no transaction is old', async () => {
    const scraped = await scrape();
    return (
      scraped.of('shop_db_server_waiting_locks') === 0 &&
      scraped.of('shop_db_server_longest_transaction_seconds') < seconds
    );
  });
});

/** A role that may use the shop's tables and has no other right, and its URL of the database. */
async function plainRole(t: TestContext, url: string, knex: Knex): Promise<string> {
  const role = `plain_${randomUUID().replaceAll('-', '')}`;
  await knex.raw(`create role ${role} login password 'plain'`);
  whenDone(t, async () => {
    await knex.raw(`drop owned by ${role}`);
    await knex.raw(`drop role ${role}`);
  });
  await knex.raw(`grant select, insert, update, delete on all tables in schema public to ${role}`);
  return Object.assign(new URL(url), { username: role, password: 'plain' }).href;
}

test('a role without special rights sees all but the transactions of other roles', async (t) => {
  const { url, knex } = await testDatabase(t);
  const roleUrl = await plainRole(t, url, knex);
  const { scrape } = await measuredPrimary(t, roleUrl);
  const own = openPool(t, { url: roleUrl }, { deadlines: PATIENT });
  const holder = await knex.transaction();
  whenDone(t, () => holder.rollback());
  await holder('products').where({ id: 1 }).update({ stock: 1 });
  const startedMs = performance.now();
  const waiting = knex('products')
    .where({ id: 1 })
    .update({ stock: 2 })
    .then(() => {});
  const seen = await until("the other role's wait", async () => {
    const scraped = await scrape();
    const { rows } = await own.raw(
      'select 1 from pg_stat_activity where xact_start is null and pid <> pg_backend_pid()',
    );
    assert.ok(rows.length > 0, 'the rights of this role hide transactions');
    return performance.now() - startedMs > 3000 && scraped.of('shop_db_server_waiting_locks') === 1 && scraped;
  });
  assert.ok(seen.of('shop_db_server_connections', { state: 'other' }) >= 2);
  assert.ok(seen.of('shop_db_server_longest_transaction_seconds') < 3);
  assert.ok(committed(seen) > 0);
  assert.ok(seen.of('shop_db_server_size_bytes') > 1_000_000);

  const transaction = await own.transaction();
  await transaction.raw('select 1');
  await until('its own transaction', async () => {
    return (await scrape()).of('shop_db_server_longest_transaction_seconds') > 1;
  });
  await transaction.rollback();
  await holder.rollback();
  await waiting;
});

test('the size of the database is read once for all instances', async (t) => {
  const { url, knex } = await testDatabase(t);
  const first = await measuredPrimary(t, url);
  const size = await until('the size', async () => (await first.scrape()).of('shop_db_server_size_bytes'));
  const { rows } = await knex.raw('select pg_database_size(current_database()) as bytes');
  assert.ok(Math.abs(size / rows[0].bytes - 1) < 0.1, `${size} of ${rows[0].bytes}`);

  await knex.raw('create table large as select generate_series(1, 100000) as id');
  const second = await measuredPrimary(t, url);
  assert.equal(await until('its size', async () => (await second.scrape()).of('shop_db_server_size_bytes')), size);
});
