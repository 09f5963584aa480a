import assert from 'node:assert/strict';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { assertKept, keep, startEmbedded, startOwner } from '../../support/embedded.ts';
import { temporaryFolder } from '../../support/system.ts';
import { until, whenDone } from '../../support/wait.ts';

test('a folder in use is refused to others, and its database runs on', async (t) => {
  const folder = await temporaryFolder(t);
  const first = await startEmbedded(t, folder);
  await keep(first.connection);
  const taken = { name: 'FolderInUseError', message: new RegExp(`in use by process ${process.pid}`) };
  await assert.rejects(startEmbedded(t, folder), taken);
  await assert.rejects(startOwner(t, folder), { message: taken.message });
  await assertKept(first.connection);
});

test('at most one of two starts at the same time gets a new folder', async (t) => {
  const folder = await temporaryFolder(t);
  const results = await Promise.allSettled([startOwner(t, folder), startOwner(t, folder)]);
  const started = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  assert.ok(started.length <= 1, 'two owners of one folder');
  for (const owner of started) {
    await keep(owner.connection);
    await owner.end('SIGTERM');
  }
  assert.deepEqual(await readdir(folder).then((names) => names.filter((name) => name.startsWith('in-use'))), []);
});

test('a file in place of the folder and a folder with other content are reported and stay unchanged', async (t) => {
  const folder = await temporaryFolder(t);
  const file = join(folder, 'file');
  await writeFile(file, 'mine');
  await assert.rejects(startEmbedded(t, file), /file can't be used as a folder .*: set DATA_DIR to another one/);

  await mkdir(join(folder, 'postgres'));
  await writeFile(join(folder, 'postgres', 'mine'), 'mine');
  await assert.rejects(startEmbedded(t, folder), /postgres holds something else than a database: move it away/);
  assert.deepEqual(await readdir(join(folder, 'postgres')), ['mine']);
  assert.deepEqual(await readdir(folder).then((names) => names.filter((name) => name.includes('unfinished'))), []);
});

test('a folder that another container uses is refused only while that container shows life', async (t) => {
  const folder = await temporaryFolder(t);
  const claim = join(folder, 'in-use-by-7-0123456789abcdef-1');
  const beat = () => writeFile(claim, '.');
  await beat();
  const heartbeat = setInterval(beat, 1000);
  whenDone(t, () => clearInterval(heartbeat));
  await assert.rejects(startEmbedded(t, folder), /in use by process 7/);
  clearInterval(heartbeat);
  await startEmbedded(t, folder);
});

test('a start that was cut off while it created the files begins anew', async (t) => {
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

  const next = await startEmbedded(t, folder);
  await keep(next.connection);
  await until('what the cut-off start left is gone after the next', async () => {
    await next.stop();
    await (await startEmbedded(t, folder)).stop();
    return !(await readdir(folder)).some((name) => name.startsWith('postgres-unfinished'));
  });
});
