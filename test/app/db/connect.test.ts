import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { Knex } from 'knex';
import type pg from 'pg';
import { type connect, isDatabaseFailure, isUnanswered } from '../../../src/db/index.ts';
import type { DatabaseDeadlines } from '../../../src/deadlines.ts';
import { poolOf } from '../../../src/instrument/pool.ts';
import { activity, openPool, testDatabase } from '../../support/database.ts';
import { recordLog } from '../../support/log.ts';
import { PATIENT } from '../../support/test-server.ts';
import { until, whenDone } from '../../support/wait.ts';

/** The limit for a page, and some time for a slow machine. */
const PAGE_MS = 2_000;
const SLACK_MS = 1_000;

function open(t: TestContext, connection: Parameters<typeof connect>[0], poolMax = 3, deadlines?: DatabaseDeadlines) {
  const { log, lines } = recordLog('warn');
  const options = { poolMax, applicationName: 'connect test', log, ...(deadlines && { deadlines }) };
  return { knex: openPool(t, connection, options), warnings: lines };
}

async function backend(knex: Knex): Promise<number> {
  const { rows } = await knex.raw('select pg_backend_pid() as pid');
  return rows[0].pid;
}

/** @returns the error of a wait that must end in time */
async function failsInTime(work: () => PromiseLike<unknown>): Promise<Error & { code?: string }> {
  const started = performance.now();
  let failure: (Error & { code?: string }) | undefined;
  try {
    await work();
  } catch (error) {
    failure = error as Error;
  }
  assert.ok(failure, 'it did not fail');
  const took = performance.now() - started;
  assert.ok(took < PAGE_MS + SLACK_MS, `it took ${took} ms`);
  return failure;
}

test('counts and sums are numbers, and a number beyond the safe range is an error', async (t) => {
  const { knex } = open(t, (await testDatabase(t)).connection);
  assert.deepEqual(await knex('products').count({ products: '*' }).max({ id: 'id' }).first(), { products: 24, id: 24 });
  const { rows } = await knex.raw('select sum(quantity) from (values (2), (3)) as items(quantity)');
  assert.deepEqual(rows, [{ sum: 5 }]);
  await assert.rejects(async () => knex.raw('select 9007199254740993::bigint'), RangeError);
});

test("connections are opened when needed, at most as many as allowed, and carry the application's name", async (t) => {
  const database = await testDatabase(t);
  const { knex } = open(t, database.connection);
  const own = activity(database.knex).where({ application_name: 'connect test' }).count({ open: '*' });
  assert.deepEqual(await own.clone().first(), { open: 0 });
  const pids = await Promise.all(Array.from({ length: 20 }, () => backend(knex)));
  const used = new Set(pids).size;
  const { open: held } = (await own.clone().first()) as unknown as { open: number };
  // A connection that was opened for a query which another one answered meanwhile is open but unused.
  assert.ok(used <= held && held <= 3, `${used} used, ${held} held`);
});

test('a slow statement is cancelled by the server, and its connection stays in use', async (t) => {
  const { knex } = open(t, (await testDatabase(t)).connection, 1, { ...PATIENT, statement: 1_000 });
  const before = await backend(knex);
  assert.equal((await failsInTime(() => knex.raw('select pg_sleep(60)'))).code, '57014');
  assert.equal(await backend(knex), before);
});

test('a query on a server that hangs is given up, and its connection is not used again', async (t) => {
  const { knex } = open(t, (await testDatabase(t)).connection, 1);
  const hung = await backend(knex);
  process.kill(hung, 'SIGSTOP');
  whenDone(t, () => process.kill(hung, 'SIGCONT'));
  assert.match((await failsInTime(() => knex('products').first())).message, /Query read timeout/);
  assert.notEqual(await backend(knex), hung);
});

test('a dead connection makes the pool drop the others that have been idle as long, instead of trying each', async (t) => {
  const { knex } = open(t, (await testDatabase(t)).connection, 3);
  const held = await Promise.all(Array.from({ length: 3 }, () => knex.transaction()));
  const dead = await Promise.all(held.map(backend));
  for (const transaction of held) await transaction.rollback();
  const heardMs = performance.now();
  await until('they have been silent for a moment', () => performance.now() - heardMs > 20);
  for (const pid of dead) {
    process.kill(pid, 'SIGSTOP');
    whenDone(t, () => process.kill(pid, 'SIGCONT'));
  }
  await failsInTime(() => knex('products').first());
  const alive = await Promise.all(Array.from({ length: 3 }, () => backend(knex)));
  assert.ok(alive.every((pid) => !dead.includes(pid)));
});

test('a transaction on a server that hangs is given up too', async (t) => {
  const { knex } = open(t, (await testDatabase(t)).connection, 1);
  await failsInTime(() =>
    knex.transaction(async (trx) => {
      const hung = await backend(trx);
      process.kill(hung, 'SIGSTOP');
      whenDone(t, () => process.kill(hung, 'SIGCONT'));
      await trx('products').update({ stock: 4321 });
    }),
  );
  assert.equal(await knex('products').where({ stock: 4321 }).first(), undefined);
});

test('a wait for a connection of a full pool ends at its deadline', async (t) => {
  const { knex } = open(t, (await testDatabase(t)).connection, 1);
  const held = await knex.transaction();
  assert.equal((await failsInTime(() => knex('products').first())).name, 'KnexTimeoutError');
  await held.rollback();
  assert.ok(await knex('products').first());
});

test('a late statement is cancelled on the server too and releases its locks', async (t) => {
  const database = await testDatabase(t);
  const { knex } = open(t, database.connection, 1, { ...PATIENT, statement: 300 });
  await knex('products').where({ id: 1 }).first();
  const late = knex.raw('with held as (update products set stock = 0 where id = 1) select pg_sleep(60)');
  assert.equal((await failsInTime(() => late)).code, '57014');
  const running = activity(database.knex).where({ application_name: 'connect test', state: 'active' });
  assert.deepEqual(await running.pluck('query'), []);
  await database.knex.raw("set lock_timeout = '5s'; update products set stock = 1 where id = 1");
});

test('the cancellation of a late statement never hits the next one', async (t) => {
  const statement = 20;
  const { knex } = open(t, (await testDatabase(t)).connection, 1, { ...PATIENT, statement });
  let late = 0;
  for (let round = 0; round < 100; round++) {
    // About as long as the deadline: some end by themselves, some are cancelled, some do both.
    const ended = await knex.raw('select pg_sleep(?)', [(statement + (round % 10) - 5) / 1000]).then(
      () => true,
      (error: { code?: string }) => {
        assert.equal(error.code, '57014');
        return false;
      },
    );
    if (!ended) late++;
    assert.deepEqual(await knex('categories').where({ id: 1 }).pluck('id'), [1]);
  }
  assert.ok(late > 0, 'none was late');
});

test('a statement of a transaction and a forgotten transaction are ended by the server itself', async (t) => {
  const { knex } = open(t, (await testDatabase(t)).connection);
  await knex.transaction(async (transaction) => {
    for (const [setting, value] of Object.entries({
      statement_timeout: '1250ms',
      idle_in_transaction_session_timeout: '5s',
    })) {
      const { rows } = await transaction.raw(`show ${setting}`);
      assert.deepEqual(rows, [{ [setting]: value }]);
    }
  });
  const { rows } = await knex.raw('show statement_timeout');
  assert.deepEqual(rows, [{ statement_timeout: '0' }], "nothing of a transaction's stays on its connection");
});

test('a forgotten transaction releases its locks, and its connection is replaced', async (t) => {
  const database = await testDatabase(t);
  const { knex } = open(t, database.connection, 1, { ...PATIENT, idleInTransaction: 200 });
  const forgotten = await knex.transaction();
  await forgotten('products').where({ id: 1 }).update({ stock: 0 });
  await database.knex('products').where({ id: 1 }).update({ stock: 7 });
  await assert.rejects(async () => forgotten('products').first());
  await forgotten.rollback().catch(() => {});
  assert.deepEqual(await knex('products').where({ id: 1 }).pluck('stock'), [7]);
});

test('a request waits for an open connection when the server gives no further one', async (t) => {
  const { url, knex: admin } = await testDatabase(t);
  const role = new URL(url).pathname.slice(1);
  await admin.raw(`create role ?? login password 'few' connection limit 2`, [role]);
  await admin.raw('grant select on all tables in schema public to ??', [role]);
  whenDone(t, async () => {
    await admin.raw('drop owned by ??', [role]);
    await admin.raw('drop role ??', [role]);
  });
  const few = new URL(url);
  few.username = role;
  few.password = 'few';
  const { knex } = open(t, { url: few.href }, 10, PATIENT);
  await knex('products').first();
  const answers = Array.from({ length: 100 }, () => knex.raw('select pg_sleep(0.005)'));
  await Promise.all(answers);
  const held = await admin('pg_stat_activity').where({ usename: role }).pluck('pid');
  assert.ok(held.length <= 2);

  const { knex: other } = open(t, { url: few.href }, 10);
  const taken = await Promise.all([knex.transaction(), knex.transaction()]);
  assert.equal((await failsInTime(() => other('products').first())).code, '53300');
  await Promise.all(taken.map((transaction) => transaction.rollback()));
});

test('a connection to a server that takes no more writes is replaced', async (t) => {
  const { knex, connection } = await testDatabase(t);
  const { knex: shop } = open(t, connection, 1);
  const before = await backend(shop);
  const name = new URL(connection.url).pathname.slice(1);
  await knex.raw('alter database ?? set default_transaction_read_only = on', [name]);
  assert.equal(await backend(shop), before, 'it was opened before, and so it can still write');
  await shop.raw('set default_transaction_read_only = on');
  await assert.rejects(async () => shop('products').update({ stock: 0 }), { code: '25006' });
  await knex.raw('alter database ?? reset default_transaction_read_only', [name]);
  assert.notEqual(await backend(shop), before);
  assert.equal(await shop('products').update({ stock: 5 }), 24);
});

test('an idle connection that the server ends is logged and replaced', async (t) => {
  const database = await testDatabase(t);
  const { knex, warnings } = open(t, database.connection, 1);
  const ended = await backend(knex);
  await database.knex.raw('select pg_terminate_backend(?)', [ended]);
  await until('it is logged', () => warnings.some((line) => line.includes('a database connection broke')));
  assert.notEqual(await backend(knex), ended);
  assert.equal(warnings.length, 1, warnings.join('\n'));
});

test('a query to a server that is absent or never answers fails in time', async (t) => {
  const silent = createServer((socket) => socket.resume());
  silent.listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const { port } = silent.address() as AddressInfo;
  const parts = { host: '127.0.0.1', port, user: 'a', password: 'b', database: 'c' };
  await failsInTime(() => open(t, parts).knex.raw('select 1'));
  silent.close();
  await once(silent, 'close');
  assert.equal((await failsInTime(() => open(t, parts).knex.raw('select 1'))).code, 'ECONNREFUSED');
});

test('a statement is prepared once on each connection, up to a limit', async (t) => {
  const { knex } = open(t, (await testDatabase(t)).connection, 1);
  const prepared = async () => (await knex.raw('select count(*) as count from pg_prepared_statements')).rows[0].count;
  assert.equal(await prepared(), 0);
  for (let id = 1; id <= 10; id++) await knex('products').where({ id }).pluck('slug');
  assert.equal(await prepared(), 1);
  for (let length = 2; length <= 300; length++) {
    const ids = Array.from({ length }, (_, i) => i + 1);
    assert.equal((await knex('products').whereIn('id', ids).pluck('id')).length, Math.min(length, 24));
  }
  assert.equal(await prepared(), 200);
});

test('prepared statements still work after a migration changes what they return', async (t) => {
  const database = await testDatabase(t);
  const { knex } = open(t, database.connection);
  const migrate = (type: string) => database.knex.raw(`alter table products alter column slug type ${type}`);
  const find = (from: Knex) => from('products').where({ id: 1 }).first('id', 'slug');
  const product = await find(knex);
  await knex.transaction(async (transaction) => assert.deepEqual(await find(transaction), product));

  await migrate('varchar(90)');
  assert.deepEqual(await find(knex), product);
  await knex.transaction(async (transaction) => assert.deepEqual(await find(transaction), product));

  await migrate('varchar(91)');
  await migrate('text');
  const failing = await knex.transaction();
  await assert.rejects(async () => find(failing), { code: '0A000' });
  await failing.rollback();
  await knex.transaction(async (transaction) => assert.deepEqual(await find(transaction), product));
});

test('an error of any code that breaks the connection of a statement is a database failure', async (t) => {
  const { knex } = open(t, (await testDatabase(t)).connection, 1);
  let used: pg.Client | undefined;
  poolOf(knex).on('acquireSuccess', (_eventId, connection) => {
    used = connection as unknown as pg.Client;
  });
  const sleepOn = (on: Knex, error?: Error) =>
    on.raw('select pg_sleep(60)').on('query', () => setImmediate(() => used?.connection.stream.destroy(error)));
  for (const code of ['EHOSTDOWN', 'EPROTO']) {
    const error = Object.assign(new Error('it broke'), { code });
    const failure = await failsInTime(() => sleepOn(knex, error));
    assert.equal(failure.code, code, failure.message);
    assert.ok(isDatabaseFailure(failure), failure.message);
  }
  /** The server's error message arrives before the connection ends. */
  const goodbye = (transaction: Knex) =>
    transaction.raw('select 1').then(() => {
      used?.connection.emit('error', new Error('it says goodbye'));
      return transaction.raw('select 1');
    });
  for (const work of [
    () => sleepOn(knex),
    () => knex.transaction((transaction) => sleepOn(transaction)),
    () => knex.transaction(goodbye),
  ]) {
    const failure = await failsInTime(work);
    assert.ok(isDatabaseFailure(failure), failure.message);
  }
});

test('a wrong statement and values that cannot be sent or read are no database failures', async (t) => {
  const { knex } = open(t, (await testDatabase(t)).connection, 1);
  const self = { toPostgres: () => self };
  for (const [sql, value] of [
    ['select ?::int', 'x'],
    ['select nothing from nowhere where 1 = ?', 1],
    ['select 9007199254740993::bigint where 1 = ?', 1],
    ['select ?', self],
  ] as const) {
    const failure = await failsInTime(() => knex.raw(sql, [value as string]));
    assert.ok(!isDatabaseFailure(failure), failure.message);
  }
});

test('a server without transaction ids for writes is a database failure', async (t) => {
  const { knex } = open(t, (await testDatabase(t)).connection, 1);
  const refused = `do $$ begin raise program_limit_exceeded using message = 'not accepting commands'; end $$`;
  assert.ok(isDatabaseFailure(await failsInTime(() => knex.raw(refused))));
});

test('only a statement without an answer may have been committed', async (t) => {
  const { knex } = open(t, (await testDatabase(t)).connection, 1);
  const failure = (code: string) =>
    knex
      .raw(`do $$ begin raise exception using errcode = '${code}'; end $$`)
      .then(assert.fail, (error: unknown) => isUnanswered(error));
  // Pgbouncer's message when it loses the server.
  assert.equal(await failure('08P01'), true);
  assert.equal(await failure('57P01'), true);
  assert.equal(await failure('53100'), false);
  const nowhere = open(t, { url: 'postgres://nobody@127.0.0.1:1/nothing' }).knex;
  await nowhere.raw('select 1').then(assert.fail, (error: unknown) => assert.equal(isUnanswered(error), false));
});

test('an error message holds no values of its query', async (t) => {
  const { knex } = open(t, (await testDatabase(t)).connection);
  await assert.rejects(
    async () => knex('orders').insert({ email: 'ana@example.com' }),
    (error: Error) => !error.message.includes('ana@'),
  );
});
