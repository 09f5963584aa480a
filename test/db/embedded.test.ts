import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, realpath, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { type TestContext, test } from 'node:test';
import { pino } from 'pino';
import { startEmbeddedPostgres } from '../../src/db/index.ts';
import { allGone, type Connection, postmasterPid, processesIn, query, startOwner } from '../support/embedded.ts';
import { until } from '../support/wait.ts';
import { whenDone } from '../support/when-done.ts';

const log = pino({ level: 'silent' });

/** With a space, as many people's folders have. */
async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'fake shop ')));
  whenDone(t, async () => {
    await allGone(folder);
    await rm(folder, { recursive: true, force: true });
  });
  return folder;
}

async function start(t: TestContext, dataDir: string) {
  const postgres = await startEmbeddedPostgres({ dataDir, log, settings: { fsync: 'off' } });
  whenDone(t, () => postgres.stop());
  return { ...postgres, connection: postgres.connection as Connection };
}

const KEEP = 'create table kept as select 42 as answer';
const READ = 'select answer from kept';
const KEPT = [{ answer: 42 }];

test('starts from nothing in any folder, keeps its data, and is reached by its password on the loopback alone', async (t) => {
  const folder = await temporaryFolder(t);
  const first = await start(t, relative(process.cwd(), join(folder, 'deep', 'er')));
  const data = join(folder, 'deep', 'er');
  const { connection } = first;
  assert.equal(first.up(), true);
  await query(connection, KEEP);

  assert.equal((await stat(join(data, 'postgres-password'))).mode & 0o777, 0o600);
  assert.equal((await stat(join(data, 'postgres'))).mode & 0o777, 0o700);
  await assert.rejects(query({ ...connection, password: 'wrong' }, READ), { code: '28P01' });
  for (const { address } of Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? [])) {
    if (address.startsWith('127.') || address.startsWith('fe80')) continue;
    await assert.rejects(query({ ...connection, host: address }, READ), { code: 'ECONNREFUSED' });
  }
  const [settings] = await query(
    connection,
    `select current_setting('server_encoding') as encoding, current_setting('unix_socket_directories') as sockets,
            current_setting('server_version_num')::int / 10000 as major`,
  );
  assert.deepEqual(settings, { encoding: 'UTF8', sockets: '', major: 18 });

  await first.stop();
  assert.equal(first.up(), false);
  await allGone(folder);
  const second = await start(t, data);
  assert.deepEqual(await query(second.connection, READ), KEPT);
  await second.stop();
  await second.stop();
});

test('a folder in use is refused to others, and its database runs on', async (t) => {
  const folder = await temporaryFolder(t);
  const first = await start(t, folder);
  await query(first.connection, KEEP);
  const taken = { name: 'FolderInUseError', message: new RegExp(`in use by process ${process.pid}`) };
  await assert.rejects(start(t, folder), taken);
  await assert.rejects(startOwner(t, folder), { message: taken.message });
  assert.deepEqual(await query(first.connection, READ), KEPT);
});

test('of two that start at once in a new folder, one at most gets it', async (t) => {
  const folder = await temporaryFolder(t);
  const results = await Promise.allSettled([startOwner(t, folder), startOwner(t, folder)]);
  const started = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  assert.ok(started.length <= 1, 'two owners of one folder');
  for (const owner of started) {
    await query(owner.connection, KEEP);
    await owner.end('SIGTERM');
  }
  assert.deepEqual(await readdir(folder).then((names) => names.filter((name) => name.startsWith('in-use'))), []);
});

test('a server that is killed comes back by itself, where it was, with its data', async (t) => {
  const folder = await temporaryFolder(t);
  const postgres = await start(t, folder);
  await query(postgres.connection, KEEP);
  for (let round = 0; round < 2; round++) {
    process.kill(await postmasterPid(folder), 'SIGKILL');
    await until('it is found dead', () => !postgres.up());
    await until('it is up again', () => postgres.up());
    assert.deepEqual(await query(postgres.connection, READ), KEPT);
  }
});

test('a server whose watchers are killed comes back by itself too', async (t) => {
  const folder = await temporaryFolder(t);
  const postgres = await start(t, folder);
  await query(postgres.connection, KEEP);
  const server = await postmasterPid(folder);
  for (const { pid } of await processesIn(folder)) if (pid !== server) process.kill(pid, 'SIGKILL');
  await until('a new one is up', async () => postgres.up() && (await postmasterPid(folder)) !== server);
  assert.deepEqual(await query(postgres.connection, READ), KEPT);
});

test('stopping while the server is being started again leaves nothing', async (t) => {
  const folder = await temporaryFolder(t);
  const postgres = await start(t, folder);
  process.kill(await postmasterPid(folder), 'SIGKILL');
  await until('it is found dead', () => !postgres.up());
  await postgres.stop();
  assert.deepEqual(await processesIn(folder), []);
});

test('when its owner is killed, the database ends by itself, and the next owner has its data at once', async (t) => {
  const folder = await temporaryFolder(t);
  const owner = await startOwner(t, folder);
  await query(owner.connection, KEEP);
  await owner.end('SIGKILL');

  const next = await start(t, folder);
  assert.deepEqual(await query(next.connection, READ), KEPT);
  await next.stop();
  await allGone(folder);

  const last = await startOwner(t, folder);
  await last.end('SIGKILL');
  await allGone(folder);
  const shutdown = await readFile(join(folder, 'postgres.log'), 'utf8');
  assert.match(shutdown.trim().split('\n').at(-1) ?? '', /database system is shut down/);
});

test('a server that lost both its owner and its watchers is stopped by the next owner', async (t) => {
  const folder = await temporaryFolder(t);
  const owner = await startOwner(t, folder);
  await query(owner.connection, KEEP);
  const server = await postmasterPid(folder);
  for (const { pid } of await processesIn(folder))
    if (pid !== server && pid !== owner.child.pid) process.kill(pid, 'SIGSTOP');
  process.kill(owner.child.pid, 'SIGSTOP');
  for (const { pid } of await processesIn(folder)) if (pid !== server) process.kill(pid, 'SIGKILL');
  await owner.end('SIGKILL');
  assert.deepEqual(
    (await processesIn(folder)).map(({ pid }) => pid),
    [server],
  );

  const next = await start(t, folder);
  assert.deepEqual(await query(next.connection, READ), KEPT);
});

test('Ctrl-C does not reach the database: its owner decides when it ends', async (t) => {
  const folder = await temporaryFolder(t);
  const owner = await startOwner(t, folder);
  process.kill(-owner.child.pid, 'SIGINT');
  await until('the owner was interrupted', () => owner.lines.includes('"interrupted"'));
  assert.deepEqual(await query(owner.connection, 'select 1 as one'), [{ one: 1 }]);
  await owner.end('SIGTERM');
  assert.deepEqual(await processesIn(folder), []);
});

test('a start that was cut off while it made the files is begun anew', async (t) => {
  const folder = await temporaryFolder(t);
  const cutOff = assert.rejects(startOwner(t, folder), /The owner ended/);
  await until('initdb is at work', async () => {
    const unfinished = (await readdir(folder)).find((name) => name.startsWith('postgres-unfinished'));
    return unfinished && (await readdir(join(folder, unfinished))).length > 3;
  });
  const [claim = ''] = (await readdir(folder)).filter((name) => name.startsWith('in-use-by-'));
  process.kill(Number(claim.split('-')[3]), 'SIGKILL');
  await cutOff;
  assert.ok(!(await readdir(folder)).includes('postgres'), 'it was too late to cut it off');

  const next = await start(t, folder);
  await query(next.connection, KEEP);
  await until('what the cut-off start left is gone after the next', async () => {
    await next.stop();
    await (await start(t, folder)).stop();
    return !(await readdir(folder)).some((name) => name.startsWith('postgres-unfinished'));
  });
});

test('a postmaster.pid that names no process, or another program, is no obstacle', async (t) => {
  const folder = await temporaryFolder(t);
  const owner = await startOwner(t, folder);
  await query(owner.connection, KEEP);
  await owner.end('SIGTERM');
  const pidFile = join(folder, 'postgres', 'postmaster.pid');
  for (const pid of [process.pid, 2 ** 22 + 1]) {
    await writeFile(pidFile, `${pid}\n${folder}/postgres\n1700000000\n5432\n\n127.0.0.1\n1 1\nready\n`);
    const next = await start(t, folder);
    assert.deepEqual(await query(next.connection, READ), KEPT);
    await next.stop();
  }
});

test('a server that is killed waits for its port when another program has it', async (t) => {
  const folder = await temporaryFolder(t);
  const postgres = await start(t, folder);
  const { port } = postgres.connection;
  const squatter = createServer();
  whenDone(t, () => squatter.close());
  // The port is free from the server's death to its next start; both try again until one has it.
  process.kill(await postmasterPid(folder), 'SIGKILL');
  await until('someone else has the port', async () => {
    if (postgres.up()) process.kill(await postmasterPid(folder), 'SIGKILL');
    squatter.listen(port, '127.0.0.1');
    return once(squatter, 'listening');
  });
  await until('PostgreSQL has tried in vain', async () =>
    (await readFile(join(folder, 'postgres.log'), 'utf8')).includes('could not create any TCP/IP sockets'),
  );
  assert.equal(postgres.up(), false);
  squatter.close();
  await until('it is up again on its port', () => postgres.up());
  assert.deepEqual(await query(postgres.connection, 'select 1 as one'), [{ one: 1 }]);
});

test('files that this program can not use are refused with what to do', async (t) => {
  const folder = await temporaryFolder(t);
  await (await start(t, folder)).stop();
  const password = await readFile(join(folder, 'postgres-password'));
  await rm(join(folder, 'postgres-password'));
  await assert.rejects(start(t, folder), /postgres-password is gone/);
  await writeFile(join(folder, 'postgres-password'), password);
  await writeFile(join(folder, 'postgres', 'PG_VERSION'), '17\n');
  await assert.rejects(start(t, folder), /made by PostgreSQL 17, this is 18\.\d+.*pg_dump/);
  await writeFile(join(folder, 'postgres', 'PG_VERSION'), '18\n');
  await (await start(t, folder)).stop();
});

test('settings that PostgreSQL refuses are reported with its own words', async (t) => {
  const folder = await temporaryFolder(t);
  await mkdir(folder, { recursive: true });
  await assert.rejects(
    startEmbeddedPostgres({ dataDir: folder, log, settings: { max_connections: 'many' } }),
    /invalid value for parameter "max_connections": "many"/,
  );
});
