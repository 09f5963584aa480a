import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Knex } from 'knex';
import { applicationName, PRIMARY, prepareDatabase } from '../../../src/db/index.ts';
import { migrationSource } from '../../../src/db/schema.ts';
import { openPool, testDatabase } from '../../support/database.ts';
import { silentLog as log, recordLog } from '../../support/log.ts';
import { startProxy } from '../../support/proxy.ts';
import { freePort } from '../../support/system.ts';
import { PATIENT } from '../../support/test-server.ts';
import { until, whenDone } from '../../support/wait.ts';

/** An empty database. */
async function emptyDatabase(t: TestContext) {
  const { url, knex: maker } = await testDatabase(t);
  const empty = new URL(url);
  empty.pathname += '_empty';
  const name = empty.pathname.slice(1);
  await maker.raw('create database ??', [name]);
  const connection = { url: empty.href };
  whenDone(t, () => maker.raw('drop database ?? with (force)', [name]));
  return { connection, knex: openPool(t, connection, { deadlines: PATIENT }) };
}

test('several instances may prepare an empty database at the same time', async (t) => {
  const { connection, knex } = await emptyDatabase(t);
  await Promise.all(Array.from({ length: 4 }, () => prepareDatabase(connection, { log })));
  assert.deepEqual(await knex('products').count({ products: '*' }).first(), { products: 24 });
  const names = (await migrationSource.getMigrations([])).map(migrationSource.getMigrationName);
  assert.deepEqual(await knex('knex_migrations').orderBy('id').pluck('name'), names);
});

test('the migrations run down to an empty database and up again', async (t) => {
  const { knex } = await testDatabase(t);
  await knex.migrate.rollback({ migrationSource }, true);
  const tables = await knex('pg_tables').where({ schemaname: 'public' }).orderBy('tablename').pluck('tablename');
  assert.deepEqual(tables, ['knex_migrations', 'knex_migrations_lock']);
  await knex.migrate.latest({ migrationSource });
  assert.deepEqual(await knex('products').select(), []);
});

test('preparing adds what is missing and leaves what exists', async (t) => {
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

test('preparing completes what a crashed instance left half done', async (t) => {
  const { connection, knex } = await emptyDatabase(t);
  await prepareDatabase(connection, { log });
  await knex.migrate.rollback({ migrationSource }, true);
  await knex('knex_migrations_lock').update({ is_locked: 1 });
  await prepareDatabase(connection, { log });
  assert.deepEqual(await knex('products').count({ products: '*' }).first(), { products: 24 });
  assert.deepEqual(await knex('knex_migrations_lock').pluck('is_locked'), [0]);
});

test('a database that a later release has migrated is used unchanged', async (t) => {
  const { connection, knex } = await testDatabase(t);
  await knex('knex_migrations').insert({ name: '9999-later', batch: 2, migration_time: new Date() });
  await knex('products').where({ id: 24 }).delete();
  const { log, lines } = recordLog();
  await prepareDatabase(connection, { log });
  assert.match(lines.join(''), /"level":40.*the database is newer/);
  assert.equal(await knex('products').where({ id: 24 }).first(), undefined, 'its catalogue is that release’s');
});

test('a database whose list of migrations fits no release is refused', async (t) => {
  const { connection, knex } = await testDatabase(t);
  const name = await knex('knex_migrations').max('name as last').first<{ last: string }>();
  for (const between of ['0001-a-branch', 'garbage']) {
    await knex('knex_migrations').insert({ name: between, batch: 2, migration_time: new Date() });
    await assert.rejects(prepareDatabase(connection, { log }), new RegExp(`not migrated by this release.*${between}`));
    await knex('knex_migrations').where({ name: between }).delete();
  }
  await knex('knex_migrations').where({ name: name.last }).update({ name: '9999-later' });
  await assert.rejects(prepareDatabase(connection, { log }), /it has 9999-later and lacks \d{4}-/);
});

test('an encoding that spoils texts is refused with the statement that makes the right database', async (t) => {
  const { url, knex: maker } = await testDatabase(t);
  for (const encoding of ['SQL_ASCII', 'LATIN1']) {
    const other = new URL(url);
    other.pathname += `_${encoding.toLowerCase()}`;
    const name = other.pathname.slice(1);
    await maker.raw(`create database ?? template template0 encoding '${encoding}' locale_provider libc locale 'C'`, [
      name,
    ]);
    whenDone(t, () => maker.raw('drop database ?? with (force)', [name]));
    await assert.rejects(
      prepareDatabase({ url: other.href }, { log }),
      new RegExp(
        `has the encoding ${encoding}, and the shop needs UTF8.*createdb --template=template0 --encoding=UTF8`,
      ),
    );
  }
});

test('the error for a role without rights names the statement that grants them', async (t) => {
  const { connection, knex } = await emptyDatabase(t);
  const { asUser, asParts, role, name } = await withRole(t, connection.url, knex);

  for (const [refused, place] of [
    [asUser, 'the user in DATABASE_URL'],
    [asParts, 'DB_USER'],
  ] as const) {
    await assert.rejects(prepareDatabase(refused, { log }), (error: Error) => {
      assert.match(error.message, /^The database refuses: permission denied for schema public\. /);
      assert.ok(error.message.includes(`set ${place} to the role that does.`), error.message);
      return isSentence(error);
    });
  }
  await knex.raw('revoke usage on schema public from public');
  let statement = '';
  await assert.rejects(prepareDatabase(asUser, { log }), (error: Error) => {
    assert.match(error.message, /^The database refuses: no schema has been selected to create in\. /);
    statement = /: (alter database .*); or/.exec(error.message)?.[1] ?? '';
    return isSentence(error);
  });
  assert.equal(statement, `alter database "${name}" owner to "${role}"`);
  await knex.raw(statement);
  await prepareDatabase(asUser, { log });

  await knex.raw('alter table products owner to current_user');
  await knex('products').where({ id: 24 }).delete();
  await assert.rejects(prepareDatabase(asUser, { log }), (error: Error) => {
    assert.match(error.message, /permission denied for table products\. .*and the tables of the shop in it/);
    return isSentence(error);
  });
});

test('tables of another program or another role are reported and stay unchanged', async (t) => {
  const { connection, knex } = await emptyDatabase(t);
  for (const theirs of [
    'table products (mine int)',
    'table orders (mine int)',
    'view carts as select 1 as mine',
    'function forget_sessions() returns trigger language plpgsql as $$ begin end $$',
  ]) {
    await knex.raw(`create ${theirs}`);
    await assert.rejects(prepareDatabase(connection, { log }), (error: Error) => {
      assert.match(error.message, /holds what another program or another role has made: \w+ .* already exists/);
      assert.match(error.message, /Set the database name in DATABASE_URL .* or the user in DATABASE_URL /);
      return isSentence(error);
    });
    const [kind = '', name = ''] = theirs.split(' ');
    await knex.raw(`drop ${kind} ${name}`);
    assert.deepEqual(await knex('pg_tables').where({ schemaname: 'public' }).pluck('tablename'), []);
  }

  await prepareDatabase(connection, { log });
  const { asParts } = await withRole(t, connection.url, knex);
  await knex.raw('grant create on schema public to public');
  await assert.rejects(prepareDatabase(asParts, { log }), (error: Error) => {
    assert.match(error.message, /relation "knex_migrations" already exists\. Set DB_NAME .* or DB_USER to the role/);
    return isSentence(error);
  });
});

/** Another role of the server, which owns nothing, with its URLs of databases. */
async function withRole(t: TestContext, databaseUrl: string, knex: Knex) {
  const url = new URL(databaseUrl);
  const name = url.pathname.slice(1);
  const role = `role of ${name}`;
  await knex.raw(`create role ?? login password 'secret-word'`, [role]);
  whenDone(t, async () => {
    await knex.raw('drop owned by ?? cascade', [role]);
    await knex.raw('alter database ?? owner to current_user', [name]);
    await knex.raw('drop role ??', [role]);
  });
  Object.assign(url, { username: role, password: 'secret-word' });
  const { hostname, port } = url;
  const asParts = { host: hostname, port: Number(port), user: role, password: 'secret-word', database: name };
  return { asUser: { url: url.href }, asParts, role, name };
}

/** Asserts that a message holds neither a whole statement nor a password. */
function isSentence({ name, message }: Error): true {
  assert.equal(name, 'StartError');
  assert.ok(message.length < 600 && !/\n|create table|insert into|secret-word/.test(message), message);
  return true;
}

test('preparing waits until a server accepts writes again', async (t) => {
  const { url, connection, knex } = await testDatabase(t);
  const name = new URL(url).pathname.slice(1);
  await knex.raw('alter database ?? set default_transaction_read_only = on', [name]);
  await assert.rejects(prepareDatabase(connection, { log, patienceMs: 300 }), /within 0.3 s: it is read-only/);
  const { log: recorded, lines } = recordLog();
  const prepared = prepareDatabase(connection, { log: recorded });
  await until('it waits', () => lines.some((line) => line.includes('waiting for the database')));
  await knex.raw('alter database ?? reset default_transaction_read_only', [name]);
  await prepared;
});

test('preparing warns when the server grants fewer connections than all instances may want', async (t) => {
  const { connection, knex } = await testDatabase(t);
  async function warnings(connections: number): Promise<Record<string, unknown>[]> {
    const { log, lines } = recordLog('warn');
    await prepareDatabase(connection, { log, connections });
    return lines.map((line) => JSON.parse(line));
  }
  const { rows } = await knex.raw(`select current_setting('max_connections')::int as max`);
  const { max } = rows[0];
  assert.deepEqual(await warnings(10), []);
  const [alone] = await warnings(max + 1);
  assert.match(
    String(alone?.msg),
    new RegExp(`this instance may want ${max + 1} database connections.*max_connections`),
  );

  const another = openPool(t, connection, { applicationName: applicationName(PRIMARY, 1), deadlines: PATIENT });
  await another.raw('select 1');
  const [together] = await warnings(Math.ceil(max / 2) + 5);
  assert.match(String(together?.msg), /the 2 instances may want/);
});

test('preparing waits for another instance that changes the schema, up to a limit', async (t) => {
  const { connection, knex } = await testDatabase(t);
  const lock = await knex.transaction();
  const { rows } = await lock.raw(
    `select objid from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())`,
  );
  assert.deepEqual(rows, [], 'no session holds the lock before');
  await lock.raw('select pg_advisory_xact_lock_shared(72667463)');
  await assert.rejects(
    prepareDatabase(connection, { log, patienceMs: 300 }),
    /changing the database's schema for 0.3 s/,
  );
  const waiting = prepareDatabase(connection, { log });
  await lock.rollback();
  await waiting;
});

test('preparing waits for a server that is still starting', async (t) => {
  const { url } = await testDatabase(t);
  const late = new URL(url);
  late.port = String(await freePort());
  const { log, lines } = recordLog();
  const prepared = prepareDatabase({ url: late.href }, { log });
  await until('it waits', () => lines.some((line) => line.includes('waiting for the database')));
  await startProxy(t, url, Number(late.port));
  await prepared;
});

test('preparing gives up on a server that never answers, and at once where waiting does not help', async (t) => {
  const { url } = await testDatabase(t);
  const nowhere = { host: '127.0.0.1', port: 1, user: 'a', password: 'secret-b', database: 'c' };
  await assert.rejects(prepareDatabase(nowhere, { log, patienceMs: 300 }), (error: Error) => {
    assert.match(error.message, /^The database that DB_HOST names did not answer within 0.3 s: .*ECONNREFUSED/);
    assert.doesNotMatch(error.message, /secret-b/);
    return true;
  });
  await assert.rejects(
    prepareDatabase({ url: 'postgres://a:secret-b@no-such-host.invalid/c' }, { log, patienceMs: 300 }),
    /: The database that DATABASE_URL names did not answer within 0.3 s: .*no-such-host\.invalid$/,
  );
  const wrong: Array<[Partial<URL>, RegExp]> = [
    [{ password: 'wrong' }, /refuses: password authentication failed.*the password and the user in DATABASE_URL/],
    [{ password: '' }, /refuses: SASL.*the password and the user in DATABASE_URL/],
    [{ username: 'ghost' }, /refuses: .*the password and the user in DATABASE_URL/],
    [{ pathname: '/nothing' }, /refuses: database "nothing" does not exist.*the database name in DATABASE_URL/],
    [{ search: '?sslmode=require' }, /refuses: The server does not support SSL.*the sslmode in DATABASE_URL/],
    [{ search: '?options=-c%20nonsense=1' }, /refuses: unrecognized configuration parameter "nonsense"/],
  ];
  for (const [part, message] of wrong) {
    await assert.rejects(prepareDatabase({ url: Object.assign(new URL(url), part).href }, { log }), message);
  }
  const { hostname, port, username, password, pathname } = new URL(url);
  const right = { host: hostname, port: Number(port), user: username, password, database: pathname.slice(1) };
  const wrongParts: Array<[object, RegExp]> = [
    [{ password: 'wrong' }, /Check DB_PASSWORD and DB_USER\./],
    [{ password: undefined }, /Check DB_PASSWORD and DB_USER\./],
    [{ database: 'nothing' }, /Check DB_NAME\./],
  ];
  for (const [part, message] of wrongParts) {
    await assert.rejects(prepareDatabase({ ...right, ...part }, { log }), message);
  }
});
