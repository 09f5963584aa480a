import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { RunningCluster } from '../../support/cluster.ts';
import type { Page } from '../../support/visitor.ts';
import { until } from '../../support/wait.ts';

/** The limit for a page, and for the recovery after the database is back. */
const BOUND_MS = 2_000;
/** Added to the bound for a machine that runs other tests. */
const SLACK_MS = 1_000;
/** Made from what a worker keeps in memory. */
const KEPT_PAGES = ['/', '/shop', '/shop?q=fone', '/detail/1', '/contact'];
const STORED_PAGES = ['/cart', '/checkout'];

interface Timed {
  readonly page: Page;
  readonly tookMs: number;
}

/**
 * Takes the database away, checks pages, health checks and metrics, gives it back and waits until the shop has recovered.
 *
 * @param strike makes the database unusable before it returns
 * @param heal makes the database usable before it returns
 */
export async function observeOutage(
  t: TestContext,
  shop: RunningCluster,
  strike: () => unknown,
  heal: () => unknown,
): Promise<void> {
  const visitor = shop.visitor();
  async function scrapeMs(): Promise<number> {
    const startedMs = performance.now();
    await shop.metrics();
    return performance.now() - startedMs;
  }
  await until('the shop serves pages', async () => (await visitor.get('/cart')).status === 200);
  await allSee(shop, 'up');
  const usualScrapeMs = median(await repeat(9, scrapeMs));

  await strike();
  const struckMs = performance.now();
  await allSee(shop, 'down');
  const noticedMs = performance.now() - struckMs;

  const [pages, scrapes] = await Promise.all([
    Promise.all([
      ...STORED_PAGES.map((path) => timed(() => visitor.get(path))),
      timed(() => visitor.post('/add_to_cart/1', { quantity: 1 })),
    ]),
    repeat(9, scrapeMs),
    visitor.get('/livez').then(({ status }) => assert.equal(status, 200)),
    opsStatus(shop, '/livez').then((status) => assert.equal(status, 200)),
    ...KEPT_PAGES.map(async (path) => assert.equal((await visitor.get(path)).status, 200, path)),
    visitor.get('/static/shop.css').then(({ status }) => assert.equal(status, 200)),
  ]);
  for (const { page, tookMs } of pages) {
    assert.equal(page.status, 503, page.text);
    assert.ok(Number(page.headers.get('retry-after')) >= 1);
    assert.match(page.text, /<html lang="pt-BR">.*problema passageiro/s);
    assert.ok(tookMs < BOUND_MS + SLACK_MS, `a page took ${tookMs} ms`);
  }
  const slowestMs = Math.max(...pages.map(({ tookMs }) => tookMs));
  t.diagnostic(`seen by all after ${round(noticedMs)} ms; slowest page ${round(slowestMs)} ms`);
  const scrapedMs = median(scrapes);
  t.diagnostic(`a scrape takes ${round(scrapedMs)} ms, usually ${round(usualScrapeMs)} ms`);
  assert.ok(scrapedMs < 5 * usualScrapeMs + 50, `a scrape takes ${scrapedMs} ms, usually ${usualScrapeMs} ms`);

  await heal();
  await returnsInTime(t, shop);
}

/** Asserts that the shop recovers in time when the database is usable from now on. */
export async function returnsInTime(t: TestContext, shop: RunningCluster): Promise<void> {
  const visitor = shop.visitor();
  const healedMs = performance.now();
  // Each answer comes from one worker, and both workers have to notice.
  await until('pages are served again', async () => {
    const pages = await Promise.all(Array.from({ length: 20 }, () => visitor.get('/cart')));
    return pages.every(({ status }) => status === 200);
  });
  const servedMs = performance.now() - healedMs;
  await allSee(shop, 'up');
  const returnedMs = performance.now() - healedMs;
  t.diagnostic(`pages ${round(servedMs)} ms and readiness ${round(returnedMs)} ms after the database`);
  assert.ok(servedMs < BOUND_MS + SLACK_MS, `it took ${servedMs} ms to serve again`);
  assert.ok(returnedMs < BOUND_MS + SLACK_MS, `it took ${returnedMs} ms to be ready again`);
}

/** Waits until the primary, a worker and the metrics show the state. */
async function allSee(shop: RunningCluster, database: 'up' | 'down'): Promise<void> {
  const wanted = database === 'up' ? { ready: 200, up: 1 } : { ready: 503, up: 0 };
  await Promise.all([
    until('the primary is in the state', async () => (await opsStatus(shop, '/readyz')) === wanted.ready),
    until('a worker is in the state', async () => (await shop.visitor().get('/readyz')).status === wanted.ready),
    until('the metrics show it', async () => (await shop.metrics()).of('shop_db_up') === wanted.up),
  ]);
}

async function opsStatus(shop: RunningCluster, path: string): Promise<number> {
  return (await fetch(`${shop.opsUrl}${path}`)).status;
}

async function timed(work: () => Promise<Page>): Promise<Timed> {
  const startedMs = performance.now();
  const page = await work();
  return { page, tookMs: performance.now() - startedMs };
}

async function repeat<T>(times: number, work: () => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  for (let i = 0; i < times; i++) results.push(await work());
  return results;
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

function round(milliseconds: number): number {
  return Math.round(milliseconds);
}
