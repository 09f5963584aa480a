import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectSocket, createServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import { pino } from 'pino';
import { connect, prepareDatabase } from '../../src/db/index.ts';
import { migrationSource } from '../../src/db/migrations/index.ts';
import { testDatabase } from '../support/database.ts';
import { PATIENT } from '../support/test-server.ts';
import { whenDone } from '../support/when-done.ts';

const log = pino({ level: 'silent' });

/** A database with nothing in it. */
async function emptyDatabase(t: TestContext) {
  const { url, knex: maker } = await testDatabase(t);
  const empty = new URL(url);
  empty.pathname += '_empty';
  const name = empty.pathname.slice(1);
  await maker.raw('create database ??', [name]);
  const connection = { url: empty.href };
  const knex = connect(connection, { poolMax: 2, applicationName: 'test', log, deadlines: PATIENT });
  whenDone(t, async () => {
    await knex.destroy();
    await maker.raw('drop database ?? with (force)', [name]);
  });
  return { connection, knex };
}

test('prepares an empty database, whoever else does so at the same time', async (t) => {
  const { connection, knex } = await emptyDatabase(t);
  await Promise.all(Array.from({ length: 4 }, () => prepareDatabase(connection, { log })));
  assert.deepEqual(await knex('products').count({ products: '*' }).first(), { products: 24 });
  const names = (await migrationSource.getMigrations([])).map(migrationSource.getMigrationName);
  assert.deepEqual(await knex('knex_migrations').orderBy('id').pluck('name'), names);
});

test('migrates down to nothing and up again', async (t) => {
  const { knex } = await testDatabase(t);
  await knex.migrate.rollback({ migrationSource }, true);
  const tables = await knex('pg_tables').where({ schemaname: 'public' }).orderBy('tablename').pluck('tablename');
  assert.deepEqual(tables, ['knex_migrations', 'knex_migrations_lock']);
  await knex.migrate.latest({ migrationSource });
  assert.deepEqual(await knex('products').select(), []);
});

test('adds what is missing and leaves what is there', async (t) => {
  const { connection, knex } = await testDatabase(t);
  await knex('products').where({ id: 1 }).update({ stock: 0, price_cents: 1, name: 'Renomeada' });
  await knex('products').where({ id: 24 }).delete();
  await prepareDatabase(connection, { log });
  assert.deepEqual(await knex('products').where({ id: 1 }).first('stock', 'price_cents', 'name'), {
    stock: 0,
    price_cents: 1,
    name: 'Renomeada',
  });
  assert.ok(await knex('products').where({ id: 24 }).first());

  const { id, ...copy } = await knex('products').where({ id: 24 }).first();
  const [added] = await knex('products')
    .insert({ ...copy, slug: 'nova' })
    .returning<{ id: number }[]>('id');
  assert.equal(added?.id, id + 1);
});

test('takes up what a crashed instance left half-way', async (t) => {
  const { connection, knex } = await emptyDatabase(t);
  await prepareDatabase(connection, { log });
  await knex.migrate.rollback({ migrationSource }, true);
  await knex('knex_migrations_lock').update({ is_locked: 1 });
  await prepareDatabase(connection, { log });
  assert.deepEqual(await knex('products').count({ products: '*' }).first(), { products: 24 });
  assert.deepEqual(await knex('knex_migrations_lock').pluck('is_locked'), [0]);
});

test('waits for another that changes the schema, but not for ever', async (t) => {
  const { connection, knex } = await testDatabase(t);
  const lock = await knex.transaction();
  const { rows } = await lock.raw(
    `select objid from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())`,
  );
  assert.deepEqual(rows, [], 'nobody holds the lock before');
  await lock.raw('select pg_advisory_xact_lock_shared(72667463)');
  await assert.rejects(
    prepareDatabase(connection, { log, patienceMs: 300 }),
    /changing the database's schema for 0.3 s/,
  );
  const waiting = prepareDatabase(connection, { log });
  await lock.rollback();
  await waiting;
});

test('waits for a server that is still starting', async (t) => {
  const { url } = await testDatabase(t);
  const target = new URL(url);
  const proxy = createServer((socket) => {
    const upstream = connectSocket(Number(target.port), target.hostname);
    socket.pipe(upstream).pipe(socket);
    for (const end of [socket, upstream]) end.on('error', () => {});
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const address = proxy.address();
  assert.ok(address && typeof address === 'object');
  proxy.close();
  await once(proxy, 'close');

  const late = new URL(url);
  late.port = String(address.port);
  const waiting: string[] = [];
  const prepared = prepareDatabase(
    { url: late.href },
    { log: pino({ level: 'info' }, { write: (line: string) => waiting.push(line) }) },
  );
  while (!waiting.some((line) => line.includes('waiting for the database'))) {
    await Promise.race([new Promise(setImmediate), prepared]);
  }
  proxy.listen(address.port, '127.0.0.1');
  whenDone(t, () => proxy.close());
  await prepared;
});

test('gives up on a server that never comes, and at once where waiting does not help', async (t) => {
  const { url } = await testDatabase(t);
  const nowhere = { host: '127.0.0.1', port: 1, user: 'a', password: 'secret-b', database: 'c' };
  await assert.rejects(prepareDatabase(nowhere, { log, patienceMs: 300 }), (error: Error) => {
    assert.match(error.message, /did not answer within 0.3 s: .*ECONNREFUSED/);
    assert.doesNotMatch(error.message, /secret-b/);
    return true;
  });
  const wrongPassword = new URL(url);
  wrongPassword.password = 'wrong';
  await assert.rejects(
    prepareDatabase({ url: wrongPassword.href }, { log }),
    /refuses: password authentication failed/,
  );
  const wrongName = new URL(url);
  wrongName.pathname = '/nothing';
  await assert.rejects(prepareDatabase({ url: wrongName.href }, { log }), /refuses: database "nothing" does not exist/);
});
