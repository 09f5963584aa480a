import assert from 'node:assert/strict';
import { fork, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ClusterRegistry, createStoreDirectory } from '../src/index.ts';
import { parseExposition } from '../src/testing/index.ts';
import { openWorker } from './support/stores.ts';

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'parents-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

test('two instances never read each other', async (t) => {
  const parents = [temporaryFolder(t)];
  const instances = [1, 10].map((acts) => {
    const directory = createStoreDirectory({ name: 'shop', parents });
    const registry = new ClusterRegistry({ directory: directory.path });
    const worker = openWorker(directory.path, 1);
    worker.counter.inc({ kind: 'a' }, acts);
    worker.store.flush();
    t.after(() => {
      registry.close();
      worker.store.close();
    });
    return registry;
  });
  const texts = await Promise.all(instances.map((registry) => registry.clusterMetrics()));
  assert.deepEqual(
    texts.map((text) => parseExposition(text).of('acts_total{kind="a"}')),
    [1, 10],
  );
});

test('the folder of a killed primary is removed by the next one, and those of living primaries stay', async (t) => {
  const parent = temporaryFolder(t);
  const owner = fork(fileURLToPath(new URL('support/owner.mjs', import.meta.url)), [parent], { execArgv: [] });
  const [path] = await once(owner, 'message');
  writeFileSync(join(path, '1-1-1-abc.store'), 'left behind');
  const mine = createStoreDirectory({ name: 'shop', parents: [parent] });
  assert.deepEqual(readdirSync(parent).sort(), [basename(path), basename(mine.path)].sort());

  owner.kill('SIGKILL');
  await once(owner, 'exit');
  const next = createStoreDirectory({ name: 'shop', parents: [parent] });
  assert.ok(!existsSync(path));
  assert.ok(existsSync(mine.path));
  mine.remove();
  next.remove();
  assert.deepEqual(readdirSync(parent), []);
});

test("a pid that another process has now does not protect a dead primary's folder", (t) => {
  const parent = temporaryFolder(t);
  const living = createStoreDirectory({ name: 'shop', parents: [parent] });
  const [name, pid, startTime, namespace, random] = basename(living.path).split('-');
  const predecessor = join(parent, [name, pid, Number(startTime) - 1, namespace, random].join('-'));
  const elsewhere = join(parent, [name, pid, Number(startTime) - 1, '42', random].join('-'));
  const others = join(parent, 'other-1-1-1-abcdef');
  for (const folder of [predecessor, elsewhere, others]) mkdirSync(folder);
  createStoreDirectory({ name: 'shop', parents: [parent] });
  assert.equal(existsSync(predecessor), Number(startTime) === 0);
  assert.ok(existsSync(elsewhere), 'another pid namespace can not be judged from here');
  assert.ok(existsSync(others), 'another name is not ours');
});

test('a missing or full parent folder is skipped for the next one', (t) => {
  const parent = temporaryFolder(t);
  const problems: Error[] = [];
  const directory = createStoreDirectory({
    parents: ['/nowhere/shm', parent],
    onProblem: (problem) => problems.push(problem),
  });
  assert.equal(dirname(directory.path), parent);
  assert.equal(problems.length, 1);

  const code = `
    import { createStoreDirectory } from ${JSON.stringify(new URL('../dist/index.js', import.meta.url))};
    try { createStoreDirectory({ parents: [${JSON.stringify(parent)}] }) } catch (error) { console.log(error.name) }`;
  const full = spawnSync('sh', ['-c', 'ulimit -f 100; exec "$0" --input-type=module -e "$1"', process.execPath, code]);
  assert.equal(String(full.stdout), 'AggregateError\n', String(full.stderr));
  assert.deepEqual(readdirSync(parent), [basename(directory.path)], 'nothing is left of the attempt');
});

test('an unusable name is refused', () => {
  assert.throws(() => createStoreDirectory({ name: '../up' }), TypeError);
});
