import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { watchTotals } from '../program/laws/watch.ts';
import { askEveryWorker, type RunningCluster, startCluster, storeFolder } from '../support/cluster.ts';
import { testDatabase } from '../support/database.ts';
import { until } from '../support/wait.ts';

const HEADER_BYTES = 64;
const VALUES_BYTES = 20_000;

/** What happens to a live worker's store file. */
const DAMAGES: { what: string; damage(file: string): void }[] = [
  { what: 'emptied', damage: (file) => truncateSync(file, 0) },
  { what: 'cut within its values', damage: (file) => truncateSync(file, HEADER_BYTES + 800) },
  { what: 'overwritten with noise', damage: (file) => overwrite(file, 0, randomBytes(VALUES_BYTES)) },
  { what: 'noise behind its header', damage: (file) => overwrite(file, HEADER_BYTES, randomBytes(VALUES_BYTES)) },
  { what: 'zero behind its header', damage: (file) => overwrite(file, HEADER_BYTES, Buffer.alloc(VALUES_BYTES)) },
  { what: 'deleted', damage: (file) => rmSync(file) },
];

/** Other files in the folder, and the kind of problem that each counts as. `store` is the name of a live worker's file. */
const INTRUDERS: { what: string; kind: string; put(folder: string, store: string): void }[] = [
  { what: 'a note', kind: 'foreign', put: (folder) => writeFileSync(join(folder, 'README'), 'hello') },
  { what: 'an empty store', kind: 'torn', put: (folder, store) => writeFileSync(join(folder, `8${store}`), '') },
  {
    what: "a copy of a worker's store",
    kind: 'foreign',
    put: (folder, store) => copyFileSync(join(folder, store), join(folder, `4${anotherLife(store)}`)),
  },
  { what: 'a folder', kind: 'unreadable', put: (folder, store) => mkdirSync(join(folder, `7${store}`)) },
  {
    what: 'a link to nowhere',
    kind: 'unreadable',
    put: (folder, store) => symlinkSync('/nowhere', join(folder, `6${store}`)),
  },
  {
    what: 'a pipe without a writer',
    kind: 'unreadable',
    put: (folder, store) => makePipe(join(folder, `5${store}`)),
  },
];

test('every scrape succeeds and no count is lost when store files are damaged or deleted', async (t) => {
  // A file's problems count once per kind, so each damage needs a worker of its own. One more worker stays whole.
  const whole = DAMAGES.length + 1;
  const shop = await startCluster(t, { workers: whole });
  const folder = storeFolder(shop.pid);
  const watch = watchTotals(t, shop.opsUrl);
  let requests = 0;

  async function nothingIsLost(): Promise<void> {
    requests += await askEveryWorker(shop);
    await until(
      'what was counted meanwhile is seen',
      async () => (await shop.metrics()).of('http_request_duration_seconds_count', { route: '/livez' }) === requests,
    );
  }
  async function problems(kind?: string): Promise<number> {
    return (await shop.metrics()).of('shop_metrics_store_problems_total', kind === undefined ? {} : { kind });
  }
  await nothingIsLost();

  for (const { what, kind, put } of INTRUDERS) {
    await t.test(`beside ${what}`, async () => {
      const before = await problems(kind);
      put(folder, storeOf(folder, whole));
      await until('it is counted', async () => (await problems(kind)) === before + 1);
      await nothingIsLost();
    });
  }

  for (const [i, { what, damage }] of DAMAGES.entries()) {
    await t.test(`a worker's file is ${what}`, async () => {
      const worker = i + 1;
      const file = join(folder, storeOf(folder, worker));
      const before = await problems();
      let damagedAt = 0;
      await until('a scrape meets the damage', async () => {
        damagedAt = Date.now();
        if (existsSync(file)) damage(file);
        return (await problems()) > before;
      });
      await nothingIsLost();
      await until('the worker has put it right', async () => {
        const age = (await shop.metrics()).of('shop_metrics_worker_age_seconds', { worker });
        return Date.now() - age * 1000 > damagedAt;
      });
    });
  }

  await t.test("a worker's file has lost all its rights", async () => {
    chmodSync(join(folder, storeOf(folder, whole)), 0);
    await nothingIsLost();
  });

  await t.test('the folder is deleted and the workers whose files were damaged die', async () => {
    const before = await problems('unreadable');
    rmSync(folder, { recursive: true });
    await until('it is counted', async () => (await problems('unreadable')) === before + 1);
    await nothingIsLost();
    const { workers } = await shop.status();
    for (const { worker, pid } of workers) if (worker !== whole) process.kill(pid as number, 'SIGKILL');
    await until('their successors serve', async () =>
      (await shop.status()).workers.every(
        ({ state, pid }, i) => state === 'serving' && (pid !== workers[i]?.pid || i === whole - 1),
      ),
    );
    await nothingIsLost();
    const places = readdirSync(folder).map((name) => Number(name.split('-')[0]));
    assert.deepEqual(
      places.sort(),
      DAMAGES.map((_, i) => i + 1),
    );
  });

  assert.deepEqual((await watch.stop()).decreases, []);
});

test("instances on one machine do not read each other's stores, and one removes those of a killed instance", async (t) => {
  const { url } = await testDatabase(t);
  const [first, second] = await Promise.all([startOn(t, url), startOn(t, url)]);
  const firstFolder = storeFolder(first.pid);
  const secondFolder = storeFolder(second.pid);
  assert.notEqual(firstFolder, secondFolder);
  for (let i = 0; i < 5; i++) await first.visitor().post('/add_to_cart/1', { quantity: 1 });
  assert.equal((await first.metrics()).of('shop_cart_additions_total'), 5);
  assert.equal((await second.metrics()).of('shop_cart_additions_total'), 0);
  assert.equal((await second.metrics()).samples.filter(({ name }) => name === 'shop_cpu_usage_ratio').length, 2);

  await first.stop('SIGKILL');
  const third = await startOn(t, url);
  const thirdFolder = storeFolder(third.pid);
  assert.deepEqual([existsSync(firstFolder), existsSync(secondFolder)], [false, true]);
  assert.equal((await third.metrics()).of('shop_cart_additions_total'), 0);
  await second.visitor().post('/add_to_cart/1', { quantity: 1 });
  assert.equal((await second.metrics()).of('shop_cart_additions_total'), 1);

  await Promise.all([second.stop(), third.stop()]);
  assert.deepEqual([existsSync(secondFolder), existsSync(thirdFolder)], [false, false]);
});

function startOn(t: TestContext, url: string): Promise<RunningCluster> {
  return startCluster(t, { workers: 1, database: { url } });
}

/** The name of the live file of a place. */
function storeOf(folder: string, worker: number): string {
  const names = readdirSync(folder).filter((name) => name.startsWith(`${worker}-`) && name.endsWith('.store'));
  assert.equal(names.length, 1, names.join());
  return names[0] as string;
}

function anotherLife(store: string): string {
  return store.replace(/-[0-9a-z]+\.store$/, '-abc.store');
}

function overwrite(file: string, position: number, bytes: Buffer): void {
  const fd = openSync(file, 'r+');
  writeSync(fd, bytes, 0, bytes.length, position);
  closeSync(fd);
}

function makePipe(path: string): void {
  const { status, stderr } = spawnSync('mkfifo', [path], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
}
