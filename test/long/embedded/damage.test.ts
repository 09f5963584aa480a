import assert from 'node:assert/strict';
import { chmod, cp, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { assertKept, keep, query, startEmbedded, startOwner } from '../../support/embedded.ts';
import { temporaryFolder } from '../../support/system.ts';

/** Asserts one or two sentences, without a stack and without PostgreSQL's log. */
function isShort(error: Error): true {
  assert.ok(error.message.length < 600 && !error.message.includes('\n'), error.message);
  return true;
}

const NULS = '\0'.repeat(32);

test('damaged files are reported at once with name and remedy, and the database works again with the right ones', async (t) => {
  const folder = await temporaryFolder(t);
  const first = await startEmbedded(t, folder);
  await keep(first.connection);
  await first.stop();

  for (const [name, damage, message] of [
    ['postgres/PG_VERSION', '', /PG_VERSION is damaged: it holds no version.* echo 18 > /],
    ['postgres/PG_VERSION', NULS, /PG_VERSION is damaged: it holds no version.* echo 18 > /],
    ['postgres/PG_VERSION', 'eighteen\n', /PG_VERSION is damaged: it holds no version.* echo 18 > /],
    ['postgres/PG_VERSION', undefined, /PG_VERSION is gone.* echo 18 > /],
    ['postgres/PG_VERSION', '9.6\n', /was made by PostgreSQL 9\.6, this is 18.*pg_dump/],
    ['postgres-password', '', /postgres-password is damaged: it holds no password.*backup/],
    ['postgres-password', NULS, /postgres-password is damaged: it holds no password.*backup/],
    ['postgres-password', 'of-another-folder', /postgres-password does not hold the password of the database in/],
    ['postgres-password', undefined, /postgres-password is gone/],
  ] as const) {
    const file = join(folder, name);
    const whole = await readFile(file);
    if (damage === undefined) await rm(file);
    else await writeFile(file, damage);
    await assert.rejects(startEmbedded(t, folder), (error: Error) => {
      assert.match(error.message, message);
      assert.ok(error.message.includes(folder));
      return isShort(error);
    });
    await writeFile(file, whole);
  }

  // PostgreSQL itself refuses the first two. The claim on the folder shows that no server runs on it.
  for (const remains of ['', NULS, 'garbage\n', '-1\n', '99999999999999\n']) {
    await writeFile(join(folder, 'postgres', 'postmaster.pid'), remains);
    const next = await startEmbedded(t, folder);
    await assertKept(next.connection);
    await next.stop();
  }
});

test('a start that PostgreSQL refuses is reported in one sentence with its message, the folder and the remedy', async (t) => {
  const folder = await temporaryFolder(t);
  const first = await startEmbedded(t, folder);
  await keep(first.connection);
  const [oid] = await query(first.connection, 'select oid from pg_database where datname = current_database()');
  await first.stop();

  const cluster = join(folder, 'postgres');
  for (const [name, damage, message] of [
    ['global/pg_control', '', /"global\/pg_control"/],
    ['global/pg_control', NULS.repeat(300), /incompatible with server \(.* PG_CONTROL_VERSION 0,/],
    ['global/pg_control', undefined, /could not find the database system .*pg_control/],
    ['global', undefined, /could not find the database system/],
    ['global/pg_filenode.map', '', /pg_filenode\.map/],
    ['postgresql.conf', undefined, /could not access the server configuration file .*postgresql\.conf/],
    ['postgresql.auto.conf', `${NULS}= 'garbage\n`, /configuration file .*postgresql\.auto\.conf" contains errors/],
    ['pg_hba.conf', undefined, /pg_hba\.conf/],
    ['pg_wal', undefined, /"pg_wal"/],
    ['pg_xact', undefined, /pg_xact/],
    // An empty folder, which some backups leave out.
    ['pg_notify', undefined, /"pg_notify"/],
    ['pg_replslot', undefined, /"pg_replslot"/],
    ['base', undefined, /database "postgres" does not exist/],
    [`base/${oid?.oid}`, undefined, /database "fake_shop" does not exist/],
  ] as const) {
    await rename(join(cluster, name), join(folder, 'whole'));
    if (damage !== undefined) await writeFile(join(cluster, name), damage);
    const remedy = `Bring ${folder} back from a backup, or move ${cluster} away to start with an empty shop`;
    await assert.rejects(
      startEmbedded(t, folder),
      (error: Error) => {
        assert.match(error.message, message);
        assert.ok(error.message.includes(remedy), error.message);
        return isShort(error);
      },
      name,
    );
    await rm(join(cluster, name), { recursive: true, force: true });
    await rename(join(folder, 'whole'), join(cluster, name));
    const next = await startEmbedded(t, folder);
    await assertKept(next.connection);
    await next.stop();
  }

  await rename(cluster, join(folder, 'moved away'));
  await (await startEmbedded(t, folder)).stop();
  assert.ok((await readdir(cluster)).includes('PG_VERSION'));
});

test("a lack of memory is not reported as damage of the database's files", async (t) => {
  const folder = await temporaryFolder(t);
  await (await startEmbedded(t, folder)).stop();
  // A system never grants more huge pages than it has, under any overcommit policy.
  const tooMuch = { huge_pages: 'on', shared_buffers: '4TB' };
  await assert.rejects(startEmbedded(t, folder, tooMuch), (error: Error) => {
    assert.match(error.message, /Cannot allocate memory\. See .*postgres\.log\.$/);
    return isShort(error);
  });
});

test('a folder whose rights a copy has opened works again', async (t) => {
  const folder = await temporaryFolder(t);
  await (await startEmbedded(t, folder)).stop();
  await chmod(join(folder, 'postgres'), 0o755);
  await (await startEmbedded(t, folder)).stop();
});

test('a server that refuses the shop ends the start at once with its message and the file', async (t) => {
  const folder = await temporaryFolder(t);
  await (await startEmbedded(t, folder)).stop();
  await writeFile(join(folder, 'postgres', 'pg_hba.conf'), 'host all all all reject\n');
  await assert.rejects(startEmbedded(t, folder), (error: Error) => {
    assert.match(error.message, /refuses the shop: pg_hba\.conf rejects connection.*pg_hba\.conf/);
    return isShort(error);
  });
});

test('a server whose postmaster.pid was damaged is stopped before the next is started', async (t) => {
  const folder = await temporaryFolder(t);
  const owner = await startOwner(t, folder);
  await keep(owner.connection);
  await writeFile(join(folder, 'postgres', 'postmaster.pid'), NULS);
  await owner.end('SIGKILL');
  await assertKept((await startEmbedded(t, folder)).connection);
});

test('a folder without a whole database is reported before anything is created', async (t) => {
  const folder = await temporaryFolder(t);
  await mkdir(join(folder, 'postgres'));
  await startEmbedded(t, folder).then((postgres) => postgres.stop());

  const halfMade = join(folder, 'half-made');
  await cp(join(folder, 'postgres', 'base'), join(halfMade, 'postgres', 'base'), { recursive: true });
  await assert.rejects(startEmbedded(t, halfMade), /postgres holds something else than a database: move it away/);

  const aFile = join(folder, 'a file');
  await mkdir(aFile);
  await writeFile(join(aFile, 'postgres'), 'mine');
  await assert.rejects(startEmbedded(t, aFile), /postgres can't be used as a folder .*: move it away/);

  const noFile = join(folder, 'no file');
  await mkdir(noFile);
  for (const name of ['postgres', 'postgres-password']) {
    await cp(join(folder, name), join(noFile, name), { recursive: true });
  }
  await rm(join(noFile, 'postgres', 'PG_VERSION'));
  await mkdir(join(noFile, 'postgres', 'PG_VERSION'));
  await assert.rejects(startEmbedded(t, noFile), (error: Error) => {
    assert.match(error.message, /PG_VERSION can't be read/);
    return isShort(error);
  });
});

test('a copy of a data folder is a folder of its own, while the original runs too', async (t) => {
  const folder = await temporaryFolder(t);
  const owner = await startOwner(t, join(folder, 'original'));
  await keep(owner.connection);
  await cp(join(folder, 'original'), join(folder, 'copy'), { recursive: true, preserveTimestamps: true });

  const copy = await startEmbedded(t, join(folder, 'copy'));
  await assertKept(copy.connection);
  await assertKept(owner.connection);
  await assert.rejects(startEmbedded(t, join(folder, 'copy')), /in use by process/);
  await assert.rejects(startEmbedded(t, join(folder, 'original')), /in use by process/);
});
