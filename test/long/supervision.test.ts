import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { askEveryWorker, type RunningCluster, startCluster } from '../support/cluster.ts';
import { testDatabase } from '../support/database.ts';
import { startLoad } from '../support/load.ts';
import { until, whenDone } from '../support/wait.ts';

function allServe(shop: RunningCluster, restarts: number[], meanwhile = async () => {}) {
  return until(`all serve after ${restarts} restarts`, async () => {
    await meanwhile();
    const { workers } = await shop.status();
    return (
      workers.every(({ state }) => state === 'serving') &&
      workers.map((worker) => worker.restarts).join() === restarts.join() &&
      workers
    );
  });
}

/** The workers' pids, draining workers included. */
async function countWorkers({ pid }: RunningCluster): Promise<number> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return children.trim().split(' ').length;
}

test('SIGHUP replaces every worker without a failed request, on kept connections too', async (t) => {
  const shop = await startCluster(t, { workers: 2 });
  const before = await shop.status();
  const scrapeBefore = await shop.metrics();
  const load = startLoad(t, () => shop.shopUrl, '/detail/1', 8);

  let mostWorkers = 0;
  process.kill(shop.pid, 'SIGHUP');
  await allServe(shop, [1, 1], async () => {
    mostWorkers = Math.max(mostWorkers, await countWorkers(shop));
  });
  const { statuses, failures, slowestMs } = await load.stop();
  t.diagnostic(`${statuses.get(200)} requests, the slowest ${Math.round(slowestMs)} ms`);

  assert.deepEqual(failures, []);
  assert.deepEqual([...statuses.keys()], [200]);
  assert.equal(mostWorkers, 3, 'two and a successor: never more pools than that');
  const after = await shop.status();
  for (const [index, worker] of after.workers.entries()) assert.notEqual(worker.pid, before.workers[index]?.pid);
  const change = (await shop.metrics()).since(scrapeBefore);
  assert.equal(change.of('shop_worker_restarts_total', { reason: 'reload' }), 2);
  assert.equal(change.of('shop_errors_total'), 0);
  assert.equal(change.of('http_request_duration_seconds_count', { route: '/detail/:id' }), statuses.get(200));

  // A successor that still loads its code when the shop stops exits when it reads the message.
  process.kill(shop.pid, 'SIGHUP');
  await until('a successor starts', async () => (await countWorkers(shop)) === 3);
  assert.deepEqual(await shop.stop('SIGTERM'), { code: 0, signal: null });
  const pidsOf = (line: string) => {
    return Array.from(shop.output().matchAll(new RegExp(`"workerPid":(\\d+),"msg":"${line}`, 'g')), ([, pid]) => pid);
  };
  const served = pidsOf('worker serves');
  assert.deepEqual(
    pidsOf('worker did not drain').filter((pid) => served.includes(pid)),
    [],
  );
});

test('a worker that hangs is replaced', async (t) => {
  const shop = await startCluster(t, { workers: 2, env: { WORKER_HANG_SECONDS: '2' } });
  const { workers } = await shop.status();
  process.kill(workers[0]?.pid as number, 'SIGSTOP');
  await allServe(shop, [1, 0]);
  assert.equal((await shop.metrics()).of('shop_worker_restarts_total', { reason: 'hang' }), 1);
});

test('a primary that was paused itself takes no worker for a hanging one', async (t) => {
  const shop = await startCluster(t, { workers: 2, env: { WORKER_HANG_SECONDS: '2' } });
  process.kill(shop.pid, 'SIGSTOP');
  await new Promise((resolve) => setTimeout(resolve, 4000));
  process.kill(shop.pid, 'SIGCONT');
  const seen = await shop.status();
  await until(
    'it has watched for a while',
    async () => (await shop.metrics()).of('shop_metrics_scrape_duration_seconds_count') >= 40,
  );
  assert.deepEqual((await shop.status()).workers, seen.workers);
});

test('a worker that dies during DRAIN_DELAY_SECONDS is replaced, counted and not ready', async (t) => {
  const shop = await startCluster(t, { env: { DRAIN_DELAY_SECONDS: '600' } });
  const before = await shop.metrics();
  const [worker] = (await shop.status()).workers;
  process.kill(shop.pid, 'SIGTERM');
  const notReady = async (origin: string) =>
    (await fetch(`${origin}/readyz`, { headers: { connection: 'close' } })).status === 503;
  await until('it says that it is not ready', () => notReady(shop.opsUrl));

  process.kill(worker?.pid as number, 'SIGKILL');
  await until('its successor serves', async () => {
    const [now] = (await shop.status()).workers;
    return now?.restarts === 1 && shop.output().includes(`"workerPid":${now.pid},"msg":"worker serves"`);
  });
  await askEveryWorker(shop);
  for (let i = 0; i < 20; i++) assert.ok(await notReady(shop.shopUrl));
  assert.ok(await notReady(shop.opsUrl));
  assert.deepEqual(
    (await shop.status()).workers.map(({ state }) => state),
    ['draining', 'draining'],
  );
  const change = (await shop.metrics()).since(before);
  assert.equal(change.of('shop_worker_restarts_total', { reason: 'signal' }), 1);
  assert.equal(change.of('shop_errors_total', { type: 'worker_crash' }), 1);
  assert.deepEqual(await shop.stop('SIGTERM'), { code: 1, signal: null });
});

test('SIGTERM behind a balancer that watches /readyz fails no request', async (t) => {
  const database = (await testDatabase(t)).url;
  const env = { DATABASE_URL: database, DRAIN_DELAY_SECONDS: '2' };
  const [leaving, staying] = await Promise.all([startCluster(t, { env }), startCluster(t, { env })]);
  const ready = new Map([
    [leaving.shopUrl, true],
    [staying.shopUrl, true],
  ]);
  const watching = setInterval(async () => {
    for (const origin of ready.keys()) {
      ready.set(
        origin,
        await fetch(`${origin}/readyz`).then(
          ({ ok }) => ok,
          () => false,
        ),
      );
    }
  }, 100);
  whenDone(t, () => clearInterval(watching));
  let turn = 0;
  const load = startLoad(
    t,
    () => {
      const origins = [...ready].filter(([, isReady]) => isReady).map(([origin]) => origin);
      return origins[turn++ % origins.length] ?? staying.shopUrl;
    },
    '/detail/1',
    8,
  );

  await until('the metrics show both workers', async () => {
    return (await leaving.metrics()).of('shop_workers', { state: 'serving' }) === 2;
  });
  assert.deepEqual(await leaving.stop('SIGTERM'), { code: 0, signal: null });
  const { statuses, failures, slowestMs } = await load.stop();
  t.diagnostic(`${statuses.get(200)} requests, the slowest ${Math.round(slowestMs)} ms`);

  assert.deepEqual(failures, []);
  assert.deepEqual([...statuses.keys()], [200]);
});
