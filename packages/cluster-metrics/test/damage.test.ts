import assert from 'node:assert/strict';
import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { until } from '../../../test/support/wait.ts';
import { ClusterRegistry, Counter, createStoreDirectory, openStore, WorkerRegistry } from '../src/index.ts';
import { parseExposition } from '../src/testing/index.ts';
import { startFarm } from './support/farm.ts';
import { openCluster } from './support/stores.ts';

/** Two stores, of which one gets damaged. A scrape must still serve both. */
function twoStores(t: TestContext) {
  const cluster = openCluster(t, 2);
  const [hurt, whole] = cluster.workers;
  if (hurt?.store.path == null || whole === undefined) throw new Error('there are two');
  hurt.counter.inc({ kind: 'a' }, 5);
  hurt.histogram.observe({ route: '/' }, 50);
  whole.counter.inc({ kind: 'a' }, 2);
  for (const { store } of cluster.workers) store.flush();
  return { ...cluster, hurt, path: hurt.store.path };
}

/** The first values of a store's file. */
function valuesOf(path: string): Float64Array {
  return new Float64Array(readFileSync(path).buffer.slice(64, 64 + 8 * 1024));
}

const damages: Record<string, (path: string) => void> = {
  empty: (path) => truncateSync(path, 0),
  'cut in the header': (path) => truncateSync(path, 20),
  'cut in the values': (path) => truncateSync(path, 64 + 8),
  'cut in the directory': (path) => truncateSync(path, readFileSync(path).length - 5),
  'values overwritten with zeros': (path) => overwrite(path, 64, Buffer.alloc(64)),
  'values overwritten with noise': (path) => overwrite(path, 64, Buffer.alloc(256, 0xff)),
  'header overwritten with noise': (path) => overwrite(path, 8, Buffer.alloc(56, 0x7b)),
  'of another version': (path) => overwrite(path, 0, Buffer.from('promshm1')),
};

function overwrite(path: string, position: number, bytes: Buffer): void {
  const file = readFileSync(path);
  bytes.copy(file, position);
  writeFileSync(path, file);
}

for (const [name, damage] of Object.entries(damages)) {
  test(`a file that is ${name} keeps its last values and is whole again within seconds`, async (t) => {
    const { scrape, path, hurt, problems } = twoStores(t);
    await scrape();
    damage(path);
    const after = await scrape();
    assert.equal(after.of('acts_total{kind="a"}'), 7);
    assert.equal(after.of('size_bytes_bucket{route="/",le="100"}'), 1);

    hurt.counter.inc({ kind: 'a' }, 1);
    await until('the next heartbeat', async () => (await scrape()).of('acts_total{kind="a"}') === 8);
    assert.ok(problems.length <= 2, 'told once, not at every scrape');
  });

  test(`a file that is ${name} before it was ever read does not hurt the others`, async (t) => {
    const { registry, path, scrape } = twoStores(t);
    damage(path);
    const samples = await scrape();
    assert.ok([2, 7].includes(samples.of('acts_total{kind="a"}')));
    assert.ok(registry.workers().some(({ worker }) => worker === '2'));
  });
}

test('bins that are read before the record that names them are counted with it', async (t) => {
  const { workers, scrape } = openCluster(t, 1);
  const [{ store, histogram }] = workers as [(typeof workers)[0]];
  const count = async () => (await scrape()).of('size_bytes_count{route="/"}');
  histogram.zero({ route: '/' });
  store.flush();
  assert.equal(await count(), 0);

  // As when the primary reads the header just before the worker writes it, and the values just after.
  const path = store.path as string;
  const header = readFileSync(path).subarray(0, 64);
  histogram.observe({ route: '/' }, 50);
  store.flush();
  overwrite(path, 0, header);
  await scrape();
  store.rewrite();
  assert.equal(await count(), 1);
});

test('a value that damage has raised stays, and all others grow on', async (t) => {
  const { scrape, path, hurt } = twoStores(t);
  await scrape();
  const [counter, gauge] = [hurt.counter.labels('b'), hurt.gauge];
  counter.inc(1);
  hurt.store.flush();
  await scrape();
  const raised = Buffer.alloc(8);
  raised.writeDoubleLE(1000);
  overwrite(path, 64 + 8 * valuesOf(path).indexOf(5), raised);
  assert.equal((await scrape()).of('acts_total{kind="a"}'), 1002);
  hurt.counter.inc({ kind: 'a' });
  counter.inc(1);
  gauge.set(9);
  await until('the next heartbeat', async () => (await scrape()).of('depth') === 9);
  assert.equal((await scrape()).of('acts_total{kind="a"}'), 1002);
  assert.equal((await scrape()).of('acts_total{kind="b"}'), 2);
});

test('a sum that damage has lowered alone keeps its last value', async (t) => {
  const { scrape, path, hurt } = twoStores(t);
  hurt.summary.observe(40);
  hurt.store.flush();
  const before = await scrape();
  for (const sum of [40, 50]) {
    const at = 64 + 8 * valuesOf(path).indexOf(sum);
    overwrite(path, at, Buffer.alloc(8));
    assert.deepEqual((await scrape()).decreases(before), [], `${sum}`);
  }
  hurt.store.rewrite();
  hurt.summary.observe(2);
  hurt.histogram.observe({ route: '/' }, 3);
  hurt.store.flush();
  const after = await scrape();
  assert.deepEqual([after.of('took_seconds_sum'), after.of('size_bytes_sum{route="/"}')], [42, 53]);
});

test('a sum decreases by an observation below zero, also when it was read in the middle of its write', async (t) => {
  const { scrape, path, hurt, problems } = twoStores(t);
  hurt.summary.observe(40);
  hurt.store.flush();
  await scrape();
  hurt.summary.observe(-7);
  hurt.store.flush();
  assert.equal((await scrape()).of('took_seconds_sum'), 33);

  hurt.summary.observe(-3);
  hurt.store.flush();
  const former = Buffer.alloc(8);
  former.writeDoubleLE(33);
  overwrite(path, 64 + 8 * valuesOf(path).indexOf(30), former);
  const between = await scrape();
  assert.deepEqual([between.of('took_seconds_sum'), between.of('took_seconds_count')], [33, 3]);
  await until('two heartbeats later it is believed', async () => (await scrape()).of('took_seconds_sum') === 30);
  assert.deepEqual(problems, []);
});

test('a damaged directory is counted and reported', async (t) => {
  const { scrape, path, problems } = twoStores(t);
  const middle = readFileSync(path).length - 100;
  overwrite(path, middle, Buffer.alloc(20, 0x20));
  const samples = await scrape();
  assert.equal(samples.of('cluster_metrics_store_problems_total{kind="torn"}'), 1);
  assert.deepEqual(
    problems.map(({ kind, file }) => ({ kind, file })),
    [{ kind: 'torn', file: path }],
  );
});

test('a deleted file is still read, and counted when its worker dies', async (t) => {
  const farm = await startFarm(t, 'ours', { workers: 1 });
  await farm.tell(1, 'observe', { acts: 3 });
  await farm.scrape();
  for (const name of readdirSync(farm.directory)) rmSync(join(farm.directory, name));
  await farm.tell(1, 'observe', { acts: 4 });
  const samples = await farm.scrape();
  assert.equal(samples.of('acts_total{kind="request"}'), 7);
  assert.equal(samples.of('cluster_metrics_store_problems_total{kind="vanished"}'), 1);
  await farm.tell(1, 'observe', { acts: 1 });
  await farm.kill(1, 'SIGKILL');
  assert.equal((await farm.scrape()).of('acts_total{kind="request"}'), 8);
});

test('a deleted folder is created again by the next worker', async (t) => {
  const farm = await startFarm(t, 'ours', { workers: 1 });
  await farm.tell(1, 'observe', { acts: 3 });
  await farm.scrape();
  rmSync(farm.directory, { recursive: true });
  assert.equal((await farm.scrape()).of('acts_total{kind="request"}'), 3);
  await farm.kill(1, 'SIGKILL');
  await farm.replace(1);
  await farm.tell(1, 'observe', { acts: 2 });
  assert.equal((await farm.scrape()).of('acts_total{kind="request"}'), 5);
});

test('a file that is no store is reported and left alone', async (t) => {
  const { directory, scrape, problems, path } = twoStores(t);
  const dead = 2 ** 22 + 1;
  writeFileSync(join(directory, 'notes.txt'), 'hello');
  writeFileSync(join(directory, `1-${process.pid}-0-abc.store`), 'garbage '.repeat(100));
  writeFileSync(join(directory, `1-${process.pid}-0-empty.store`), '');
  mkdirSync(join(directory, `1-${process.pid}-0-folder.store`));
  mkdirSync(join(directory, `1-${dead}-0-folder.store`));
  symlinkSync('/nowhere', join(directory, `1-${process.pid}-0-link.store`));
  copyFileSync(path, join(directory, `3-${process.pid}-0-copy.store`));
  const samples = await scrape();
  assert.equal(samples.of('acts_total{kind="a"}'), 7, 'a copy is no second worker');
  assert.equal(samples.of('cluster_metrics_store_problems_total{kind="foreign"}'), 3);
  assert.equal(samples.of('cluster_metrics_store_problems_total{kind="torn"}'), 1);
  assert.ok(samples.of('cluster_metrics_store_problems_total{kind="unreadable"}') >= 2);
  const told = problems.length;
  await scrape();
  assert.equal(problems.length, told, 'not told again');
  assert.ok(existsSync(join(directory, 'notes.txt')));
});

test('a file without rights is reported, and served when it has them', {
  skip: process.getuid?.() === 0,
}, async (t) => {
  const { scrape, path } = twoStores(t);
  chmodSync(path, 0);
  assert.equal((await scrape()).of('acts_total{kind="a"}'), 2);
  chmodSync(path, 0o600);
  assert.equal((await scrape()).of('acts_total{kind="a"}'), 7);
});

test('a metric with another shape in another worker is reported, and the first shape is served', async (t) => {
  const { workers, scrape } = openCluster(t, 2);
  const [first, second] = workers.map(({ store }) => [new WorkerRegistry(store)] as const);
  if (first === undefined || second === undefined) throw new Error('there are two');
  new Counter({ name: 'odd_total', help: 'help', labelNames: ['a'], registers: first }).inc({ a: 1 });
  new Counter({ name: 'odd_total', help: 'help', labelNames: ['b'], registers: second }).inc({ b: 1 });
  const samples = await scrape();
  assert.equal(samples.of('odd_total'), 1);
  assert.equal(samples.of('cluster_metrics_store_problems_total{kind="conflict"}'), 1);
});

test('values stay in memory when the disk is full, and those with room are still written', async (t) => {
  const directory = createStoreDirectory({ name: 'full' });
  const registry = new ClusterRegistry({ directory: directory.path });
  t.after(() => {
    registry.close();
    directory.remove();
  });
  // 16 blocks of 512 or 1,024 bytes, depending on the shell: room for the first series, but not for the whole directory.
  const script = fileURLToPath(new URL('support/full-disk.mjs', import.meta.url));
  const child = spawn('sh', ['-c', 'ulimit -f 16; exec "$0" "$@"', process.execPath, script, directory.path, '600'], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  t.after(() => child.kill('SIGKILL'));
  await once(child, 'message');
  assert.equal(parseExposition(await registry.clusterMetrics()).of('early_total{n="0"}'), 1);

  child.send('grow');
  const [{ problems }] = await once(child, 'message');
  assert.deepEqual(problems, ['EFBIG']);
  child.send('count');
  const [{ inMemory }] = await once(child, 'message');
  assert.equal(inMemory, 2);
  const samples = parseExposition(await registry.clusterMetrics());
  assert.equal(samples.of('early_total{n="0"}'), 2, 'what has its room goes on');
  assert.equal(samples.of('took_seconds_count'), 2, 'an observation that finds no room for its bin is left out');
  assert.equal(samples.of('took_seconds_sum'), 2, 'of the sum too');
  for (const n of [1, 2, 3]) {
    assert.equal(
      samples.of(`waited_seconds_sum{n="${n}"}`),
      0,
      'so is one whose bin has room, but no record of whose it is',
    );
    assert.equal(samples.of(`waited_seconds_count{n="${n}"}`), 0);
  }
  await until('the primary reports it', async () => {
    const text = await registry.clusterMetrics();
    return parseExposition(text).of('cluster_metrics_store_problems_total{kind="unwritable"}') === 1;
  });
  assert.equal(child.exitCode, null);
});

test('a primary without file descriptors removes no unread file and takes no living worker for a dead one', async (t) => {
  const directory = createStoreDirectory({ name: 'few' });
  t.after(() => directory.remove());
  const support = (name: string) => fileURLToPath(new URL(`support/${name}`, import.meta.url));
  const live = async (lives: number) => {
    const child = fork(support('many-lives.mjs'), [directory.path, String(lives), String(lives)], { execArgv: [] });
    t.after(() => child.kill('SIGKILL'));
    await once(child, 'message');
    return child;
  };
  await live(1);
  const [living] = readdirSync(directory.path);
  const args = [process.execPath, support('few-descriptors.mjs'), directory.path];
  const primary = spawn('sh', ['-c', 'ulimit -n 64; exec "$0" "$@"', ...args], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  t.after(() => primary.kill('SIGKILL'));
  assert.deepEqual(await once(primary, 'message').then(([code]) => code), 'EMFILE');

  const dying = await live(3);
  dying.kill('SIGKILL');
  await once(dying, 'exit');
  primary.send('read');
  const [text] = await once(primary, 'message');
  assert.equal(parseExposition(text).of('acts_total'), 4);
  assert.deepEqual(readdirSync(directory.path), [living]);
  assert.equal(parseExposition(text).of('cluster_metrics_store_problems_total{kind="vanished"}'), 0);
});

test('a store that is full keeps further series in memory', async (t) => {
  const directory = createStoreDirectory({ name: 'full' });
  t.after(() => directory.remove());
  const problems: string[] = [];
  const store = openStore({
    directory: directory.path,
    worker: 1,
    capacity: 64,
    onProblem: ({ message }) => problems.push(message),
  });
  t.after(() => store.close());
  const counter = new Counter({
    name: 'many_total',
    help: 'help',
    labelNames: ['n'],
    registers: [new WorkerRegistry(store)],
  });
  for (let n = 0; n < 100; n++) counter.inc({ n });
  assert.equal((await counter.get()).values.length, 100);
  assert.deepEqual(problems, [
    'The store is full: many_total has a series in memory only; openStore has a capacity of 64 values, give it 128 or more',
  ]);
});

test('a worker without a folder counts on, and creates its file when the folder exists', async (t) => {
  const parent = mkdtempSync(join(tmpdir(), 'blocked-'));
  const directory = join(parent, 'stores');
  writeFileSync(directory, 'a file where the folder should be');
  const problems: Error[] = [];
  const store = openStore({ directory, worker: 1, onProblem: (problem) => problems.push(problem) });
  const registry = new ClusterRegistry({ directory });
  t.after(() => {
    store.close();
    registry.close();
    rmSync(parent, { recursive: true });
  });
  const counter = new Counter({ name: 'acts_total', help: 'help', registers: [new WorkerRegistry(store)] });
  counter.inc(3);
  store.flush();
  assert.equal(problems.length, 1);
  assert.ok(!parseExposition(await registry.clusterMetrics()).has('acts_total'));
  rmSync(directory);
  await until('the file', async () => parseExposition(await registry.clusterMetrics()).get('acts_total') === 3);
});

test('the files of a child process that is no cluster worker are folded too', async (t) => {
  const cluster = openCluster(t, 0);
  const child = fork(fileURLToPath(new URL('support/many-lives.mjs', import.meta.url)), [cluster.directory, '3', '3'], {
    execArgv: [],
  });
  await once(child, 'message');
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.equal((await cluster.scrape()).of('acts_total'), 3);
  assert.deepEqual(readdirSync(cluster.directory), []);
});

test('a reader beside a writer that never pauses sees whole numbers that never decrease', async (t) => {
  const cluster = openCluster(t, 0);
  // Every bit of the number changes with each step, so that half a number would not be a multiple.
  const step = 123_456_789.5;
  const script = fileURLToPath(new URL('support/busy-writer.mjs', import.meta.url));
  const writer = fork(script, [cluster.directory, '2000', String(step)], { execArgv: [] });
  t.after(() => writer.kill('SIGKILL'));
  await once(writer, 'message');
  let before = parseExposition('');
  for (let i = 0; i < 100; i++) {
    const after = await cluster.scrape();
    assert.deepEqual(after.decreases(before), []);
    for (const { name, series, value } of after.samples) {
      if (name === 'n_total') assert.equal(value % step, 0, series);
    }
    before = after;
  }
  assert.ok(before.of('n_total') > 0);
  assert.equal(before.of('cluster_metrics_store_problems_total{kind="torn"}'), 0);
});

test('a reader beside a store that grows all the time misses none of its series', async (t) => {
  const cluster = openCluster(t, 0);
  const series = 20_000;
  const script = fileURLToPath(new URL('support/growing-writer.mjs', import.meta.url));
  const writer = fork(script, [cluster.directory, String(series)], { execArgv: [] });
  t.after(() => writer.kill('SIGKILL'));
  let growing = true;
  writer.once('message', () => {
    growing = false;
  });
  while (growing) await cluster.scrape();
  assert.equal((await cluster.scrape()).of('n_total'), series);
  assert.deepEqual(cluster.problems, []);
});
