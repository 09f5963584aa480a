import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseExposition } from '@techcommerce/cluster-metrics/testing';
import { type FrailShop, startFrailShop } from '../program/laws/frail-shop.ts';
import { keepAliveScraper, type Scraper, watchTotals } from '../program/laws/watch.ts';
import { askEveryWorker } from '../support/cluster.ts';
import { queuedMs } from '../support/system.ts';
import { until, whenDone } from '../support/wait.ts';

const LONGEST_SCRAPE_MS = 100;
/** The least number of scrapes, over both addresses. */
const SCRAPES = 100;
const PAUSE_MS = 20;
/** An age that a healthy worker never reaches: its event loop stands still. */
const HANGING_SECONDS = 2;
const HEALTHY_SECONDS = 1.5;

test('a stopped and a busy worker neither fail nor slow a scrape, and their last values are shown', async (t) => {
  const shop = await startFrailShop(t, { workers: 3, env: { WORKER_HANG_SECONDS: '3600' } });
  const primaryScraper = keepAliveScraper(`${shop.opsUrl}/metrics`);
  const shopScraper = keepAliveScraper(`${shop.shopUrl}/metrics`);
  whenDone(t, () => {
    primaryScraper.close();
    shopScraper.close();
  });
  const requests = await askEveryWorker(shop);

  const { healthy, stopped, busy } = await chooseWorkers(shop, shopScraper);
  shop.strike(stopped.pid, 'SIGSTOP');
  shop.strike(busy.pid, 'endless loop');
  const hanging = [stopped, busy];
  await until('both hang', async () => hanging.every(await olderThan(shop, HANGING_SECONDS)));
  const before = await Promise.all(hanging.map(({ worker }) => totalsOf(shop, worker)));

  const slow: string[] = [];
  let slowestMs = 0;
  let slowestOwnMs = 0;
  let scrapes = 0;
  const ages: number[] = [];
  const counted = new Set<unknown>();
  await until('both have hung for long', async () => {
    for (const [where, scraper, pids] of [
      ['primary', primaryScraper, [shop.pid, process.pid]],
      ['shop', shopScraper, [shop.pid, process.pid, healthy.pid]],
    ] as const) {
      const queuedBefore = queuedMs(pids);
      const startedMs = performance.now();
      const text = await scraper.scrape().then(
        (scraped) => scraped.text,
        (error: unknown) => void counted.add(error),
      );
      const milliseconds = performance.now() - startedMs;
      const othersMs = queuedMs(pids) - queuedBefore;
      if (milliseconds - othersMs > LONGEST_SCRAPE_MS) slow.push(`${where}: ${milliseconds} ms, others ${othersMs} ms`);
      slowestMs = Math.max(slowestMs, milliseconds);
      slowestOwnMs = Math.max(slowestOwnMs, milliseconds - othersMs);
      scrapes += 1;
      if (text === undefined) continue;
      const scrape = parseExposition(text);
      ages.push(scrape.of('shop_metrics_worker_age_seconds', { worker: healthy.worker }));
      counted.add(scrape.of('http_request_duration_seconds_count', { route: '/livez' }));
    }
    await sleep(PAUSE_MS);
    return scrapes >= SCRAPES && hanging.every(await olderThan(shop, 2 * HANGING_SECONDS));
  });
  t.diagnostic(
    `${scrapes} scrapes, the slowest ${slowestMs.toFixed(1)} ms, less the wait for a CPU ${slowestOwnMs.toFixed(1)} ms; healthy age ${Math.max(...ages)} s at most`,
  );
  assert.deepEqual(slow, []);
  assert.deepEqual([...counted], [requests]);
  assert.ok(Math.max(...ages) <= HEALTHY_SECONDS, `the healthy worker's age reached ${Math.max(...ages)} s`);
  for (const [i, { worker }] of hanging.entries()) assert.deepEqual(await totalsOf(shop, worker), before[i]);

  process.kill(stopped.pid, 'SIGCONT');
  await until('it goes on', async () => (await ageOf(shop, stopped.worker)) <= HEALTHY_SECONDS);
  shop.strike(busy.pid, 'SIGKILL');
  await until('its place is filled', async () =>
    (await shop.status()).workers.every(({ state }) => state === 'serving'),
  );
});

test('a worker that starts slowly is not taken for a hanging one', async (t) => {
  const shop = await startFrailShop(t, { workers: 1, env: { WORKER_HANG_SECONDS: '2', SLOW_START_MS: '5000' } });
  assert.equal((await shop.metrics()).of('shop_worker_restarts_total'), 0);
});

test('hanging workers are replaced after WORKER_HANG_SECONDS, and their counts are kept', async (t) => {
  const shop = await startFrailShop(t, { workers: 3, env: { WORKER_HANG_SECONDS: '2' } });
  const requests = await askEveryWorker(shop);
  const watch = watchTotals(t, shop.opsUrl);
  const { workers } = await shop.status();
  shop.strike(workers[0]?.pid as number, 'SIGSTOP');
  shop.strike(workers[1]?.pid as number, 'endless loop');

  const after = await until('both are replaced', async () => {
    const status = await shop.status();
    const replaced = status.workers.filter(({ state, restarts }) => state === 'serving' && restarts === 1);
    return replaced.length === 2 && status.workers;
  });
  assert.equal(after[2]?.pid, workers[2]?.pid);
  const scrape = await shop.metrics();
  assert.equal(scrape.of('shop_worker_restarts_total', { reason: 'hang' }), 2);
  assert.equal(scrape.of('shop_worker_restarts_total'), 2);
  assert.equal(scrape.of('http_request_duration_seconds_count', { route: '/livez' }), requests);
  assert.deepEqual((await watch.stop()).decreases, []);
});

interface Chosen {
  worker: number;
  pid: number;
}

/** The worker that serves the scraper's connection stays healthy. The other two may fail. */
async function chooseWorkers(shop: FrailShop, scraper: Scraper) {
  await scraper.scrape();
  const { workers } = await shop.status();
  const chosen = workers.map(({ worker, pid }): Chosen => ({ worker, pid: pid as number }));
  const served = await Promise.all(
    chosen.map(async ({ worker }) => {
      const scrape = await shop.metrics(`?worker=${worker}`);
      return scrape.of('http_request_duration_seconds_count', { route: '/metrics' }) > 0;
    }),
  );
  const [healthy] = chosen.filter((_, i) => served[i]);
  const [stopped, busy] = chosen.filter((_, i) => !served[i]);
  assert.ok(healthy && stopped && busy, `one of three serves the connection: ${served}`);
  return { healthy, stopped, busy };
}

async function ageOf(shop: FrailShop, worker: number): Promise<number> {
  return (await shop.metrics()).of('shop_metrics_worker_age_seconds', { worker });
}

async function olderThan(shop: FrailShop, seconds: number): Promise<(chosen: Chosen) => boolean> {
  const scrape = await shop.metrics();
  return ({ worker }) => scrape.of('shop_metrics_worker_age_seconds', { worker }) > seconds;
}

/** All counts of a worker: every value except gauges and quantiles. */
async function totalsOf(shop: FrailShop, worker: number): Promise<Map<string, number>> {
  const { samples } = await shop.metrics(`?worker=${worker}`);
  const totals = samples.filter(({ type, labels }) => type !== 'gauge' && labels.quantile === undefined);
  return new Map(totals.map(({ series, value }) => [series, value]));
}
