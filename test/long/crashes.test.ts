import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type RunningCluster, startCluster } from '../support/cluster.ts';
import { isAlive, temporaryFolder } from '../support/system.ts';
import { until } from '../support/wait.ts';

interface Line {
  level: number;
  time: number;
  worker: string;
  pid: number;
  workerPid?: number;
  msg: string;
  place?: number;
  places?: number[];
  reason?: string;
  err?: { message: string; stack: string };
}

/** After this many failures in a row, a start without any worker has failed. */
const HOPELESS_DEATHS = 3;

/** The least time for which a place stays empty after each death in a row. */
const LEAST_WAITS_MS = [0, 100, 200, 400, 800];
const TIMER_SLACK_MS = 5;
/** From the first death to the start of the next worker, which takes as long as the machine is busy. */
const MAX_UNSTARTED_MS = 5_000;

const FATAL = 60;
const ERROR = 50;
const WARN = 40;

/** A value of `NODE_OPTIONS` that runs a script in every process of the shop before the shop. */
function preload(script: string): Record<string, string> {
  return { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(script)}` };
}

function logOf(shop: RunningCluster): Line[] {
  return shop
    .output()
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Line);
}

for (const [what, fault] of [
  ['an unhandled rejection', `Promise.reject(new Error('the fault', { cause: new Error('its cause') }))`],
  ['an uncaught exception', `throw new Error('the fault', { cause: new Error('its cause') })`],
] as const) {
  test(`${what} is logged with its cause, counted, and ends only that worker`, async (t) => {
    const shop = await startCluster(t, { env: preload(`process.on('SIGUSR2', () => { ${fault} })`) });
    const before = await shop.status();
    const scrapeBefore = await shop.metrics();
    const [dying, other] = before.workers.map(({ pid }) => pid as number);
    process.kill(dying as number, 'SIGUSR2');

    const after = await until('its place is filled', async () => {
      const status = await shop.status();
      return status.workers[0]?.state === 'serving' && status.workers[0].restarts === 1 && status;
    });
    assert.notEqual(after.workers[0]?.pid, dying);
    assert.equal(after.workers[1]?.pid, other);
    assert.equal(await isAlive(dying as number), false);
    assert.equal((await shop.visitor().get('/')).status, 200);
    const died = logOf(shop).find(({ msg }) => msg === 'worker died') as Line;
    const filled = logOf(shop).find(
      ({ msg, workerPid }) => msg === 'worker serves' && workerPid === after.workers[0]?.pid,
    );
    const emptyMs = (filled?.time ?? Number.NaN) - died.time;
    t.diagnostic(`its place stood empty for ${emptyMs} ms`);
    const unstartedMs = Date.parse(after.workers[0]?.startedAt ?? '') - died.time;
    assert.ok(unstartedMs < MAX_UNSTARTED_MS, `${unstartedMs} ms until the next worker was started`);

    const change = (await shop.metrics()).since(scrapeBefore);
    assert.equal(change.of('shop_worker_restarts_total', { reason: 'exception' }), 1);
    assert.equal(change.of('shop_worker_restarts_total'), 1);
    assert.equal(change.of('shop_errors_total', { type: 'worker_crash' }), 1);
    assert.equal(change.of('shop_errors_total'), 1);

    // The database may be slow for a moment on a busy machine.
    const told = logOf(shop).filter(({ level, msg }) => level >= ERROR && !/^the database /.test(msg));
    assert.deepEqual(
      told.map(({ level, worker, reason }) => ({ level, worker, reason })),
      [
        { level: FATAL, worker: '1', reason: undefined },
        { level: ERROR, worker: 'primary', reason: 'exception' },
      ],
    );
    assert.equal(told[0]?.pid, dying);
    assert.equal(told[0]?.err?.message, 'the fault: its cause');
    assert.match(told[0]?.err?.stack ?? '', /caused by: Error: its cause/);
  });
}

/** A script that makes the workers of some places fail. It runs in their main threads: each thread preloads it. */
function failing(condition: string, script: string): Record<string, string> {
  return preload(`
    const { isMainThread } = await import('node:worker_threads');
    const { place } = JSON.parse(process.env.FAKE_SHOP_ASSIGNMENT ?? '{}');
    if (isMainThread && (${condition})) { ${script} }`);
}

test('a place whose workers keep failing is retried more slowly and logged, and the other workers become ready', async (t) => {
  const shop = await startCluster(t, { env: failing('place === 1', 'process.exit(7)') });
  const [, other] = (await shop.status()).workers;
  const missing = logOf(shop).filter(({ places }) => places);
  assert.deepEqual(
    missing.map(({ level, places }) => ({ level, places })),
    [{ level: WARN, places: [1] }],
  );

  const deaths = () => logOf(shop).filter(({ msg, place }) => msg === 'worker died' && place === 1);
  await until('it has been tried often', () => deaths().length > LEAST_WAITS_MS.length);
  const diedMs = deaths().map(({ time }) => time);
  const waitsMs = LEAST_WAITS_MS.map((_, i) => (diedMs[i + 1] as number) - (diedMs[i] as number));
  t.diagnostic(`died again after ${waitsMs.join(', ')} ms`);
  for (const [i, least] of LEAST_WAITS_MS.entries()) assert.ok((waitsMs[i] as number) >= least - TIMER_SLACK_MS);

  const scrape = await shop.metrics();
  const restarts = scrape.of('shop_worker_restarts_total', { reason: 'failed_start' });
  assert.ok(restarts >= LEAST_WAITS_MS.length);
  assert.equal(scrape.of('shop_worker_restarts_total'), restarts);
  assert.equal(scrape.of('shop_errors_total', { type: 'worker_crash' }), restarts);
  assert.deepEqual((await shop.status()).workers[1], other);
  assert.equal((await shop.visitor().get('/')).status, 200);
});

test('a shop that has served once keeps restarting its only worker, however often it dies', async (t) => {
  const dieYoung = `
    const send = process.send.bind(process);
    process.send = (message, ...rest) => {
      if (message.type === 'serving') setTimeout(() => { throw new Error('it dies young') });
      return send(message, ...rest);
    };`;
  const shop = await startCluster(t, { workers: 1, env: failing('place', dieYoung) });
  await until('it has died often', async () => Number((await shop.status()).workers[0]?.restarts) > HOPELESS_DEATHS);
  await until('no worker serves', async () => (await fetch(`${shop.opsUrl}/readyz`)).status === 503);
  assert.equal((await fetch(`${shop.opsUrl}/livez`)).status, 200);
  assert.ok((await shop.metrics()).of('shop_worker_restarts_total', { reason: 'exception' }) > HOPELESS_DEATHS);
});

test('a failed fork is retried, and the shop meanwhile serves and can stop', async (t) => {
  const shop = await startCluster(t);
  const limit = (descriptors: string) =>
    execFileSync('prlimit', ['--pid', String(shop.pid), `--nofile=${descriptors}:`]).toString();
  const before = execFileSync('prlimit', ['--pid', String(shop.pid), '--nofile', '--output=SOFT', '--noheadings']);
  const [first] = (await shop.status()).workers;
  limit('3');
  process.kill(first?.pid as number, 'SIGKILL');
  const refusals = () => logOf(shop).filter(({ msg }) => msg === 'could not fork a worker');
  await until('it is refused again', () => refusals().length > 1);
  limit(before.toString().trim());

  await until('the place is filled', async () => (await shop.status()).workers[0]?.state === 'serving');
  assert.equal((await shop.visitor().get('/')).status, 200);
  const restarts = await shop.metrics();
  assert.equal(restarts.of('shop_worker_restarts_total', { reason: 'signal' }), 1);
  assert.equal(restarts.of('shop_worker_restarts_total', { reason: 'failed_start' }), refusals().length);
  assert.match(refusals()[0]?.err?.message ?? '', /EMFILE/);
  assert.deepEqual(await shop.stop(), { code: 0, signal: null });
});

/** A shop whose next worker of place 1 pauses at its start after a call of `hold()`, until it fails. */
async function shopWithFailingSuccessor(t: TestContext) {
  const folder = await temporaryFolder(t);
  const [next, held] = [join(folder, 'next'), join(folder, 'held')];
  const script = `
    const { existsSync, renameSync } = await import('node:fs');
    const [next, held] = ${JSON.stringify([next, held])};
    if (existsSync(next)) {
      renameSync(next, held);
      while (existsSync(held)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
      process.exit(7);
    }`;
  const shop = await startCluster(t, { env: failing('place === 1', script) });
  return {
    shop,
    async reload() {
      writeFileSync(next, '');
      process.kill(shop.pid, 'SIGHUP');
      await until('the successor starts', () => existsSync(held));
    },
    async fail() {
      rmSync(held);
      await until('the reload ends', () => shop.output().includes('the reload ended early'));
    },
  };
}

test('a successor that fails to start during a reload is counted as a crash and not as a restart', async (t) => {
  const { shop, reload, fail } = await shopWithFailingSuccessor(t);
  const before = await shop.status();
  await reload();
  await fail();
  const scrape = await shop.metrics();
  assert.deepEqual((await shop.status()).workers, before.workers);
  assert.equal(scrape.of('shop_worker_restarts_total'), 0);
  assert.equal(scrape.of('shop_errors_total', { type: 'worker_crash' }), 1);
  const [died] = logOf(shop).filter(({ msg }) => msg === 'worker died');
  assert.ok(died?.workerPid);
  assert.ok(!before.workers.some(({ pid }) => pid === died?.workerPid), 'the line names the successor');
});

test('a worker that dies while its successor fails to start counts as one restart', async (t) => {
  const { shop, reload, fail } = await shopWithFailingSuccessor(t);
  const [former, other] = (await shop.status()).workers;
  await reload();
  process.kill(former?.pid as number, 'SIGKILL');
  await until('the place is filled', async () => {
    const [now] = (await shop.status()).workers;
    return now?.state === 'serving' && now.pid !== former?.pid;
  });
  await fail();
  const [now, stillOther] = (await shop.status()).workers;
  assert.equal(now?.restarts, 1);
  assert.deepEqual(stillOther, other);
  const scrape = await shop.metrics();
  assert.equal(scrape.of('shop_worker_restarts_total', { reason: 'signal' }), 1);
  assert.equal(scrape.of('shop_worker_restarts_total'), 1);
  assert.equal(scrape.of('shop_errors_total', { type: 'worker_crash' }), 2);
});
