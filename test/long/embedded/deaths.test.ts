import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  allGone,
  assertKept,
  keep,
  postmasterPid,
  processesIn,
  query,
  startEmbedded,
  startOwner,
} from '../../support/embedded.ts';
import { temporaryFolder } from '../../support/system.ts';
import { until, whenDone } from '../../support/wait.ts';

test('a killed server restarts by itself on the same port with its data', async (t) => {
  const folder = await temporaryFolder(t);
  const postgres = await startEmbedded(t, folder);
  await keep(postgres.connection);
  for (let round = 0; round < 2; round++) {
    process.kill(await postmasterPid(folder), 'SIGKILL');
    await until('it is found dead', () => !postgres.up());
    await until('it is up again', () => postgres.up());
    await assertKept(postgres.connection);
  }
});

test('a server whose watchers are killed restarts by itself', async (t) => {
  const folder = await temporaryFolder(t);
  const postgres = await startEmbedded(t, folder);
  await keep(postgres.connection);
  const server = await postmasterPid(folder);
  for (const pid of await processesIn(folder)) if (pid !== server) process.kill(pid, 'SIGKILL');
  await until('a new one is up', async () => postgres.up() && (await postmasterPid(folder)) !== server);
  await assertKept(postgres.connection);
});

test('a stop during a restart leaves no process behind', async (t) => {
  const folder = await temporaryFolder(t);
  const postgres = await startEmbedded(t, folder);
  process.kill(await postmasterPid(folder), 'SIGKILL');
  await until('it is found dead', () => !postgres.up());
  await postgres.stop();
  assert.deepEqual(await processesIn(folder), []);
});

test('a database whose owner is killed ends by itself, and the next owner has its data at once', async (t) => {
  const folder = await temporaryFolder(t);
  const owner = await startOwner(t, folder);
  await keep(owner.connection);
  await owner.end('SIGKILL');

  const next = await startEmbedded(t, folder);
  await assertKept(next.connection);
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
  await keep(owner.connection);
  const server = await postmasterPid(folder);
  for (const pid of await processesIn(folder))
    if (pid !== server && pid !== owner.child.pid) process.kill(pid, 'SIGSTOP');
  process.kill(owner.child.pid, 'SIGSTOP');
  for (const pid of await processesIn(folder)) if (pid !== server) process.kill(pid, 'SIGKILL');
  await owner.end('SIGKILL');
  await until('the server alone is left', async () => {
    const left = await processesIn(folder);
    return left.length === 1 && left[0] === server;
  });

  const next = await startEmbedded(t, folder);
  await assertKept(next.connection);
});

test('Ctrl-C does not reach the database, so that its owner decides when it ends', async (t) => {
  const folder = await temporaryFolder(t);
  const owner = await startOwner(t, folder);
  process.kill(-owner.child.pid, 'SIGINT');
  await until('the owner was interrupted', () => owner.lines.includes('"interrupted"'));
  assert.deepEqual(await query(owner.connection, 'select 1 as one'), [{ one: 1 }]);
  await owner.end('SIGTERM');
  assert.deepEqual(await processesIn(folder), []);
});

test('a killed server waits for its port while another program has it', async (t) => {
  const folder = await temporaryFolder(t);
  const postgres = await startEmbedded(t, folder);
  const { port } = postgres.connection;
  const squatter = createServer();
  whenDone(t, () => squatter.close());
  // The port is free between the server's death and its next start. Both programs try until one has it.
  process.kill(await postmasterPid(folder), 'SIGKILL');
  await until('the other program has the port', async () => {
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
