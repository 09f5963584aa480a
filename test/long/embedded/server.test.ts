import assert from 'node:assert/strict';
import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { join, relative } from 'node:path';
import { test } from 'node:test';
import { allGone, asSuperuser, assertKept, keep, query, startEmbedded, startOwner } from '../../support/embedded.ts';
import { temporaryFolder } from '../../support/system.ts';

test('the database starts in any empty folder, keeps its data, and is reached with its password on the loopback alone', async (t) => {
  const folder = await temporaryFolder(t);
  const first = await startEmbedded(t, relative(process.cwd(), join(folder, 'deep', 'er')));
  const data = join(folder, 'deep', 'er');
  const { connection } = first;
  assert.equal(first.up(), true);
  await keep(connection);

  assert.equal((await stat(join(data, 'postgres-password'))).mode & 0o777, 0o600);
  assert.equal((await stat(join(data, 'postgres'))).mode & 0o777, 0o700);
  await assert.rejects(query({ ...connection, password: 'wrong' }, 'select 1'), { code: '28P01' });
  for (const { address } of Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? [])) {
    if (address.startsWith('127.') || address.startsWith('fe80')) continue;
    await assert.rejects(query({ ...connection, host: address }, 'select 1'), { code: 'ECONNREFUSED' });
  }
  const [settings] = await query(
    await asSuperuser(connection, data),
    `select current_setting('server_encoding') as encoding, current_setting('unix_socket_directories') as sockets,
            current_setting('server_version_num')::int / 10000 as major`,
  );
  assert.deepEqual(settings, { encoding: 'UTF8', sockets: '', major: 18 });

  await first.stop();
  assert.equal(first.up(), false);
  await allGone(folder);
  const second = await startEmbedded(t, data);
  await assertKept(second.connection);
  await second.stop();
  await second.stop();
});

test('a postmaster.pid that names no process or another program does not stop the start', async (t) => {
  const folder = await temporaryFolder(t);
  const owner = await startOwner(t, folder);
  await keep(owner.connection);
  await owner.end('SIGTERM');
  const pidFile = join(folder, 'postgres', 'postmaster.pid');
  for (const pid of [process.pid, 2 ** 22 + 1]) {
    await writeFile(pidFile, `${pid}\n${folder}/postgres\n1700000000\n5432\n\n127.0.0.1\n1 1\nready\n`);
    const next = await startEmbedded(t, folder);
    await assertKept(next.connection);
    await next.stop();
  }
});

test('files that the program cannot use are refused with the remedy', async (t) => {
  const folder = await temporaryFolder(t);
  await (await startEmbedded(t, folder)).stop();
  const password = await readFile(join(folder, 'postgres-password'));
  await rm(join(folder, 'postgres-password'));
  await assert.rejects(startEmbedded(t, folder), /postgres-password is gone/);
  await writeFile(join(folder, 'postgres-password'), password);
  await writeFile(join(folder, 'postgres', 'PG_VERSION'), '17\n');
  await assert.rejects(startEmbedded(t, folder), /made by PostgreSQL 17, this is 18\.\d+.*pg_dump/);
  await writeFile(join(folder, 'postgres', 'PG_VERSION'), '18\n');
  await (await startEmbedded(t, folder)).stop();
});

test("settings that PostgreSQL refuses are reported with PostgreSQL's message", async (t) => {
  const folder = await temporaryFolder(t);
  await assert.rejects(
    startEmbedded(t, folder, { max_connections: 'many' }),
    /invalid value for parameter "max_connections": "many"/,
  );
});

test("PostgreSQL's environment variables for another server have no effect", async (t) => {
  const variables = {
    PGHOST: 'elsewhere.invalid',
    PGPORT: '1',
    PGUSER: 'somebody',
    PGPASSWORD: 'wrong',
    PGDATABASE: 'nothing',
    PGSSLMODE: 'require',
    PGSSLNEGOTIATION: 'direct',
    PGOPTIONS: '-c nonsense=1',
    PGAPPNAME: 'somebody',
    PGCLIENTENCODING: 'LATIN1',
    PGDATA: '/nowhere',
    PGTZ: 'nowhere',
  };
  const folder = await temporaryFolder(t);
  const owner = await startOwner(t, folder, { env: variables });
  await keep(owner.connection);
  await owner.end('SIGTERM');
});
