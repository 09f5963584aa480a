import assert from 'node:assert/strict';
import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Worker as Thread } from 'node:worker_threads';
import { until } from '../../../test/support/wait.ts';
import { Counter, openStore, WorkerRegistry } from '../src/index.ts';
import { countOpenFiles } from './support/memory.ts';
import { openCluster, openWorker } from './support/stores.ts';

const MANY_LIVES = fileURLToPath(new URL('support/many-lives.mjs', import.meta.url));

test('a store that is closed and opened again in one process keeps its counts and leaves nothing else', async (t) => {
  const { directory, scrape, problems } = openCluster(t, 0);
  async function liveAndClose(life: number): Promise<void> {
    const { store, counter, gauge, summary } = openWorker(directory, 1);
    counter.inc({ kind: 'a' });
    gauge.set(life);
    summary.observe(1);
    store.flush();
    assert.equal((await scrape()).of('depth'), life, 'of the life that is open, not of all');
    // Counted in the same turn as the close.
    counter.inc({ kind: 'a' });
    store.close();
    assert.ok(!(await scrape()).has('depth'));
  }
  await liveAndClose(1);
  const openFiles = countOpenFiles();
  const heads = (await scrape()).samples.map(({ series }) => series);
  for (let life = 2; life <= 50; life++) await liveAndClose(life);
  const samples = await scrape();
  assert.equal(samples.of('acts_total{kind="a"}'), 100);
  assert.equal(samples.of('took_seconds_count'), 50);
  assert.deepEqual(
    samples.samples.map(({ series }) => series),
    heads,
  );
  assert.deepEqual(readdirSync(directory), []);
  // A leak of one file in each life would be 49 more. Other files of the process come and go.
  assert.ok(countOpenFiles() <= openFiles + 5, `${countOpenFiles()} files are open, ${openFiles} before`);
  assert.deepEqual(problems, []);
});

test('a store may be closed twice and used after its end', async (t) => {
  const { directory, scrape } = openCluster(t, 0);
  const { store, counter } = openWorker(directory, 1);
  counter.inc({ kind: 'a' });
  store.close();
  assert.equal((await scrape()).of('acts_total{kind="a"}'), 1);
  counter.inc({ kind: 'a' });
  store.flush();
  store.close();
  assert.equal((await scrape()).of('acts_total{kind="a"}'), 1);
  assert.deepEqual(readdirSync(directory), []);
});

test('a count after the close of its store is reported, once, and one in the turn of the close is none', async (t) => {
  const { directory, scrape } = openCluster(t, 0);
  const problems: string[] = [];
  const store = openStore({ directory, worker: 1, onProblem: ({ message }) => problems.push(message) });
  const registers = [new WorkerRegistry(store)];
  const [acts, lazy] = [false, true].map(
    (lazy) => new Counter({ name: lazy ? 'lazy_total' : 'acts_total', help: 'help', lazy, registers }),
  );
  acts?.inc();
  lazy?.inc();
  store.close();
  store.close();
  await setImmediate();
  store.flush();
  assert.deepEqual(problems, []);
  assert.equal((await scrape()).of('acts_total'), 1);
  assert.equal((await scrape()).of('lazy_total'), 1);

  lazy?.inc();
  await until('the lazy count is reported', () => problems.length > 0);
  acts?.inc();
  await setImmediate();
  assert.deepEqual(problems, [
    'The store is closed: what is counted now is not shown. Close it after the last answer; a process that exits writes by itself',
  ]);
});

test('a store that is closed before its first scrape is counted', async (t) => {
  const { directory, scrape } = openCluster(t, 0);
  const { store, counter } = openWorker(directory, 1);
  counter.inc({ kind: 'a' }, 3);
  store.close();
  assert.equal((await scrape()).of('acts_total{kind="a"}'), 3);
  assert.deepEqual(readdirSync(directory), []);
});

test('a registry that is closed shows what it read last, also at a scrape in flight, and opens no file again', async (t) => {
  const { registry, workers, scrape } = openCluster(t, 1);
  const [worker] = workers;
  worker?.counter.inc({ kind: 'a' }, 10);
  worker?.gauge.set(7);
  await scrape();
  const openFiles = countOpenFiles();
  const inFlight = scrape();
  registry.close();
  worker?.counter.inc({ kind: 'a' });
  worker?.store.flush();
  registry.fold(process.pid);
  registry.close();
  for (const page of [await inFlight, await scrape(), await scrape({ worker: '1' })]) {
    assert.equal(page.of('acts_total{kind="a"}'), 10);
    assert.equal(page.of('depth'), 7);
  }
  if (process.platform === 'linux') assert.ok(countOpenFiles() < openFiles, `${countOpenFiles()} files are open`);
});

test('the file of a living process is not folded, and that of a dead one is at once', async (t) => {
  const { directory, registry, scrape } = openCluster(t, 0);
  const worker = fork(MANY_LIVES, [directory, '1', '1'], { execArgv: [] });
  t.after(() => worker.kill('SIGKILL'));
  await once(worker, 'message');
  const pid = worker.pid as number;
  const files = readdirSync(directory);
  registry.fold(pid);
  assert.deepEqual(readdirSync(directory), files);
  assert.ok((await scrape()).has('place{worker="1"}'));

  worker.kill('SIGKILL');
  await once(worker, 'exit');
  registry.fold(pid);
  assert.deepEqual(readdirSync(directory), []);
  assert.equal((await scrape()).of('acts_total'), 1);
});

test('a zombie process is dead', async (t) => {
  const { directory, scrape } = openCluster(t, 0);
  // The shell starts a worker and turns into a program that never waits for it.
  const script = '"$0" "$@" & echo $!; exec sleep 600';
  const negligent = spawn('sh', ['-c', script, process.execPath, MANY_LIVES, directory, '1', '1'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => negligent.kill('SIGKILL'));
  const pid = Number(String(await once(negligent.stdout, 'data').then(([line]) => line)));
  await until('it counts', async () => (await scrape()).has('place{worker="1"}'));
  process.kill(pid, 'SIGKILL');
  await until('it is a zombie and gone', async () => !(await scrape()).has('place{worker="1"}'));
  process.kill(pid, 0);
  assert.equal((await scrape()).of('acts_total'), 1);
  assert.deepEqual(readdirSync(directory), []);
});

/** A thread of this process with a store of its own. */
async function startThread(t: TestContext, directory: string, worker: string): Promise<Thread> {
  const thread = new Thread(MANY_LIVES, { argv: [directory, '1', worker] });
  t.after(() => thread.terminate());
  await once(thread, 'message');
  return thread;
}

test('the end of a worker thread is a death, although its process lives on', async (t) => {
  const { directory, scrape, registry } = openCluster(t, 0);
  const threads = [await startThread(t, directory, '1'), await startThread(t, directory, '1')];
  assert.equal((await scrape()).of('place{worker="1"}'), 2);
  assert.deepEqual(new Set(registry.workers().map(({ pid }) => pid)), new Set([process.pid]));
  await threads[0]?.terminate();
  await until('one has ended', async () => (await scrape()).of('place{worker="1"}') === 1);
  assert.equal((await scrape()).of('acts_total'), 2);
  await threads[1]?.terminate();
  await until('both have ended', async () => !(await scrape()).has('place{worker="1"}'));
  assert.equal((await scrape()).of('acts_total'), 2);
  assert.deepEqual(readdirSync(directory), []);
});

test('one place shows the process that started last, with all of its threads and stores', async (t) => {
  const { directory, scrape } = openCluster(t, 0);
  await startThread(t, directory, '1');
  await startThread(t, directory, '1');
  assert.equal((await scrape({ worker: '1' })).of('acts_total'), 2);

  const successor = fork(MANY_LIVES, [directory, '10', '1'], { execArgv: [] });
  t.after(() => successor.kill('SIGKILL'));
  await once(successor, 'message');
  // The thread is younger than the successor, but its process is older.
  await startThread(t, directory, '1');
  const alone = await scrape({ worker: '1' });
  assert.equal(alone.of('acts_total'), 10);
  assert.equal(alone.of('place{worker="1"}'), 10);
  assert.equal((await scrape()).of('acts_total'), 13);

  successor.kill('SIGKILL');
  await once(successor, 'exit');
  assert.equal((await scrape({ worker: '1' })).of('acts_total'), 3);
});

test("a worker's age does not follow the wall clock", async (t) => {
  const { directory, scrape } = openCluster(t, 0);
  const worker = fork(MANY_LIVES, [directory, '1', '1'], { execArgv: [] });
  t.after(() => worker.kill('SIGKILL'));
  await once(worker, 'message');
  const HOUR_MS = 3_600_000;
  const setBy = t.mock.method(Date, 'now');
  for (const offsetMs of [HOUR_MS, -HOUR_MS]) {
    setBy.mock.mockImplementation(() => performance.timeOrigin + performance.now() + offsetMs);
    const age = (await scrape()).of('cluster_metrics_worker_age_seconds{worker="1"}');
    assert.ok(age > 0 && age < 600, String(age));
  }
  process.kill(worker.pid as number, 'SIGSTOP');
  await until('its age grows', async () => (await scrape()).of('cluster_metrics_worker_age_seconds{worker="1"}') > 2);
});
