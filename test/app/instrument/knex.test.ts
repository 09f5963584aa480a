import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Knex } from 'knex';
import { labelQuery } from '../../../src/db/query-labels.ts';
import { instrumentKnex } from '../../../src/instrument/knex.ts';
import { openPool, testDatabase } from '../../support/database.ts';
import { until, whenDone } from '../../support/wait.ts';
import { type MeasuredApp, measuredApp } from '../../support/worker-metrics.ts';

const DURATION = 'shop_db_operation_duration_seconds';
const SPENT = 'shop_request_time_seconds_total';

interface MeasuredDatabase extends MeasuredApp {
  database: Knex;
}

/** A measured pool of 3 connections on a table `things`, and an application whose page `/` runs `work`. */
async function measuredDatabase(
  t: TestContext,
  work: (database: Knex) => Promise<unknown> = async () => {},
): Promise<MeasuredDatabase> {
  const { connection } = await testDatabase(t);
  const database = openPool(t, connection, { poolMax: 3 });
  await database.schema.createTable('things', (table) => {
    table.increments('id');
    table.text('name').unique();
  });
  const app = await measuredApp(t, {
    async '/'(ctx) {
      ctx.body = 'done';
      await work(database).catch(() => {});
    },
  });
  whenDone(t, instrumentKnex(database, app.metrics));
  return { ...app, database };
}

/** What `work` adds to the count of each operation: `{ 'select things': 2 }`. */
async function operations(app: MeasuredApp, work: () => Promise<unknown>): Promise<Record<string, number>> {
  const before = await app.scrape();
  await work();
  const after = await app.scrape();
  const change = after.since(before);
  const counted: Record<string, number> = {};
  for (const { name, labels } of after.samples) {
    if (name !== `${DURATION}_count`) continue;
    const count = change.of(name, labels);
    if (count > 0) counted[`${labels.operation} ${labels.table}`] = count;
  }
  return counted;
}

test('each query counts once under the operation and table of its builder', async (t) => {
  const app = await measuredDatabase(t);
  const { database } = app;
  const counted = await operations(app, async () => {
    await database('things').insert([{ name: 'a' }, { name: 'b' }]);
    await database('things').insert({ name: 'a' }).onConflict('name').ignore();
    await database('things').where({ name: 'a' }).update({ name: 'c' });
    await database('things').where({ name: 'b' }).del();
    await database('things').select();
    await database('things').first();
    await database('things').pluck('name');
    await database('things').count('*');
  });
  assert.deepEqual(counted, { 'insert things': 2, 'update things': 1, 'delete things': 1, 'select things': 4 });
});

test('aliases, schemas, joins and sub-queries count for the main table', async (t) => {
  const app = await measuredDatabase(t);
  const { database } = app;
  const things = database('things').select('id').as('inner');
  const queries: Record<string, Knex.QueryBuilder> = {
    alias: database('things as t').select('t.id'),
    'alias in capitals': database('things AS t').select('t.id'),
    'alias by object': database({ t: 'things' }).select('t.id'),
    'schema in the name': database('public.things').select(),
    schema: database.withSchema('public').from('things').select(),
    'schema and alias': database('public.things as t').select(),
    join: database('things as a').join('things as b', 'a.id', 'b.id').select('a.id'),
    'sub-query as table': database.from(things).select(),
    'sub-query in where': database('things').whereIn('id', database('things').select('id')),
    reference: database.from(database.ref('things').as('t')).select(),
    with: database.with('some', database('things').select()).from('things').select('id'),
  };
  for (const [kind, query] of Object.entries(queries)) {
    assert.deepEqual(await operations(app, async () => query), { 'select things': 1 }, kind);
  }
});

test('a raw query counts under the name that it carries', async (t) => {
  const app = await measuredDatabase(t);
  const { database } = app;
  const upsert = 'insert into things (name) values (?) on conflict (name) do nothing';
  assert.deepEqual(
    await operations(app, async () => {
      await labelQuery(database.raw(upsert, 'a'), 'insert', 'things');
      await database.transaction((trx) => labelQuery(trx.raw(upsert, 'b'), 'insert', 'things'));
    }),
    { 'insert things': 2, 'begin none': 1, 'commit none': 1 },
  );
  assert.deepEqual(await operations(app, () => database.raw('select 1')), { 'raw none': 1 });
});

test('a transaction counts its begin, its queries and its end', async (t) => {
  const app = await measuredDatabase(t);
  const { database } = app;
  assert.deepEqual(
    await operations(app, () =>
      database.transaction(async (trx) => {
        await trx('things').insert({ name: 'a' });
        await trx('things').select().forUpdate();
        await trx('things').forShare().skipLocked().first();
        await trx('things').select();
      }),
    ),
    { 'begin none': 1, 'insert things': 1, 'lock things': 2, 'select things': 1, 'commit none': 1 },
  );
  assert.deepEqual(
    await operations(app, () =>
      assert.rejects(
        database.transaction(async (trx) => {
          await trx('things').insert({ name: 'b' });
          throw new Error('changed my mind');
        }),
      ),
    ),
    { 'begin none': 1, 'insert things': 1, 'rollback none': 1 },
  );
});

test("a transaction's begin is timed until its answer, not until the next query", async (t) => {
  const app = await measuredDatabase(t);
  await app.database.transaction(async (trx) => {
    await trx.raw('select 1');
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  });
  const scrape = await app.scrape();
  assert.ok(scrape.of(`${DURATION}_sum`, { operation: 'begin' }) < 0.9);
  assert.ok(scrape.of(`${DURATION}_sum`, { operation: 'commit' }) < 0.9);
});

test('a failed query is counted', async (t) => {
  const app = await measuredDatabase(t);
  const { database } = app;
  await database('things').insert({ name: 'a' });
  const counted = await operations(app, async () => {
    await assert.rejects(database('things').insert({ name: 'a' }), { code: '23505' });
    await assert.rejects(database('things').select('no_such_column'), { code: '42703' });
  });
  assert.deepEqual(counted, { 'insert things': 1, 'select things': 1 });
});

test('a query that was given up is counted once, when its connection is released', async (t) => {
  const app = await measuredDatabase(t);
  const sleeping = labelQuery(app.database.raw('select pg_sleep(1)'), 'select', 'things').timeout(100);
  assert.deepEqual(await operations(app, () => assert.rejects(sleeping, /timeout/)), { 'select things': 1 });
});

test("a query's duration is the time in the database", async (t) => {
  const app = await measuredDatabase(t);
  const startedMs = performance.now();
  await labelQuery(app.database.raw('select pg_sleep(0.2)'), 'select', 'things');
  const elapsedSeconds = (performance.now() - startedMs) / 1000;
  const seconds = (await app.scrape()).of(`${DURATION}_sum`, { operation: 'select', table: 'things' });
  assert.ok(seconds >= 0.2 && seconds <= elapsedSeconds, `${seconds} s of ${elapsedSeconds} s`);
});

test('overlapping queries of a request are each counted, and their time counts once', async (t) => {
  const app = await measuredDatabase(t, (database) =>
    Promise.all([1, 2, 3].map(() => labelQuery(database.raw('select pg_sleep(0.3)'), 'select', 'things'))),
  );
  assert.deepEqual(await operations(app, () => fetch(app.url)), { 'select things': 3 });
  const scrape = await app.scrape();
  const sum = scrape.of(`${DURATION}_sum`, { operation: 'select', table: 'things' });
  assert.ok(sum >= 0.9, `${sum} s`);
  const db = scrape.of(SPENT, { route: '/', spent: 'db' });
  assert.ok(db >= 0.29 && db < sum - 0.25, `db ${db} of ${sum} s`);
  const whole = scrape.of('http_request_duration_seconds_sum', { route: '/' });
  assert.ok(Math.abs(scrape.of(SPENT, { route: '/' }) - whole) < 1e-9);
});

test('the database time of one request does not count for another', async (t) => {
  const app = await measuredDatabase(t, (database) => Promise.resolve(database.raw('select pg_sleep(0.3)')));
  const slow = fetch(app.url);
  await Promise.all(Array.from({ length: 20 }, () => fetch(`${app.url}/nowhere`)));
  await slow;
  const scrape = await app.scrape();
  assert.ok(scrape.of(SPENT, { route: '/', spent: 'db' }) >= 0.29);
  assert.equal(scrape.of(SPENT, { route: 'unmatched', spent: 'db' }), 0);
});

test('an exhausted pool shows its pending requests, and their wait is the request time db_wait', async (t) => {
  const app = await measuredDatabase(t, (database) => database('things').select());
  const connections = async (state: string) => (await app.scrape()).of('shop_db_connections', { state });
  const held = await Promise.all([1, 2, 3].map(() => app.database.transaction()));
  await until('all active', async () => (await connections('active')) === 3);

  const asked = Date.now();
  const waiting = [1, 2].map(() => fetch(app.url));
  await until('two pending', async () => (await connections('pending')) === 2, 1500);
  for (const transaction of held) await transaction.commit();
  await Promise.all(waiting);
  const waitedSeconds = (Date.now() - asked) / 1000;

  await until('none pending', async () => (await connections('pending')) === 0);
  await until('all idle', async () => (await connections('idle')) === 3 && (await connections('active')) === 0);
  const wait = (await app.scrape()).of(SPENT, { route: '/', spent: 'db_wait' });
  assert.ok(wait > 0.2 && wait <= 2 * waitedSeconds, `${wait} s of ${waitedSeconds} s`);
});

test('a failed wait for a connection is db_wait too, and no operation', async (t) => {
  const app = await measuredDatabase(t, (database) => database('things').select());
  const held = await Promise.all([1, 2, 3].map(() => app.database.transaction()));
  assert.deepEqual(await operations(app, () => fetch(app.url)), {});
  const wait = (await app.scrape()).of(SPENT, { route: '/', spent: 'db_wait' });
  assert.ok(wait > 1.4 && wait < 3, `${wait} s`);
  for (const transaction of held) await transaction.rollback();
});

test('nothing is counted after the instruments are removed', async (t) => {
  const app = await measuredDatabase(t);
  const again = instrumentKnex(app.database, app.metrics);
  assert.deepEqual(await operations(app, () => app.database('things').select()), { 'select things': 2 });
  again();
  assert.deepEqual(await operations(app, () => app.database('things').select()), { 'select things': 1 });
});
