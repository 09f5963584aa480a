import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { RunningCluster } from './cluster.ts';
import type { Page } from './visitor.ts';
import { until } from './wait.ts';

/** What a page is granted, and what the return is, counted from the database's. */
const BOUND_MS = 2_000;
/** The bounds are the shop's; this much more is for a machine that runs other tests beside. */
const SLACK_MS = 1_000;
const PAGES = ['/', '/shop', '/detail/1', '/cart', '/checkout'];

interface Timed {
  readonly page: Page;
  readonly tookMs: number;
}

/**
 * Takes the database away, checks what everybody then sees, gives it back and waits for the shop to return.
 *
 * @param strike from its return on, the database serves no one
 * @param heal from its return on, it serves again
 */
export async function observeOutage(
  t: TestContext,
  shop: RunningCluster,
  strike: () => unknown,
  heal: () => unknown,
): Promise<void> {
  const visitor = shop.visitor();
  const ops = (path: string) => fetch(`${shop.opsUrl}${path}`).then(({ status }) => status);
  async function timed(work: () => Promise<Page>): Promise<Timed> {
    const startedMs = performance.now();
    const page = await work();
    return { page, tookMs: performance.now() - startedMs };
  }
  async function scrapeMs(): Promise<number> {
    const startedMs = performance.now();
    await shop.metrics();
    return performance.now() - startedMs;
  }
  async function allSeesDatabase(up: boolean): Promise<boolean> {
    const [primary, worker, scrape] = await Promise.all([ops('/readyz'), visitor.get('/readyz'), shop.metrics()]);
    const wanted = up ? 200 : 503;
    return primary === wanted && worker.status === wanted && scrape.of('shop_db_up') === (up ? 1 : 0);
  }

  await until('the shop is well', async () => (await visitor.get('/')).status === 200 && allSeesDatabase(true));
  const usualScrapeMs = median(await repeat(9, scrapeMs));

  await strike();
  const struckMs = performance.now();
  await until('everyone knows', () => allSeesDatabase(false));
  const noticedMs = performance.now() - struckMs;

  const [answers, post, scrapes] = await Promise.all([
    Promise.all(PAGES.map((path) => timed(() => visitor.get(path)))),
    timed(() => visitor.post('/add_to_cart/1', { quantity: 1 })),
    repeat(9, scrapeMs),
    visitor.get('/livez').then(({ status }) => assert.equal(status, 200)),
    ops('/livez').then((status) => assert.equal(status, 200)),
    visitor.get('/static/shop.css').then(({ status }) => assert.equal(status, 200)),
  ]);
  for (const { page, tookMs } of [...answers, post]) {
    assert.equal(page.status, 503, page.text);
    assert.ok(Number(page.headers.get('retry-after')) >= 1);
    assert.match(page.text, /<html lang="pt-BR">.*problema passageiro/s);
    assert.ok(tookMs < BOUND_MS + SLACK_MS, `a page took ${tookMs} ms`);
  }
  assert.ok(median(scrapes) < 5 * usualScrapeMs + 50, `a scrape takes ${median(scrapes)} ms, not ${usualScrapeMs} ms`);

  await heal();
  const healedMs = performance.now();
  await until('pages are there again', async () => (await visitor.get('/')).status === 200);
  const servedMs = performance.now() - healedMs;
  await until('everyone knows', () => allSeesDatabase(true));
  const returnedMs = performance.now() - healedMs;
  const slowest = Math.max(...[...answers, post].map(({ tookMs }) => tookMs));
  t.diagnostic(
    `noticed after ${Math.round(noticedMs)} ms; slowest page ${Math.round(slowest)} ms; served ${Math.round(servedMs)} ms and ready ${Math.round(returnedMs)} ms after the database; scrape ${usualScrapeMs.toFixed(1)} → ${median(scrapes).toFixed(1)} ms`,
  );
  assert.ok(servedMs < BOUND_MS + SLACK_MS, `it took ${servedMs} ms to serve again`);
  assert.ok(returnedMs < BOUND_MS + SLACK_MS, `it took ${returnedMs} ms to be ready again`);
}

async function repeat<T>(times: number, work: () => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  for (let i = 0; i < times; i++) results.push(await work());
  return results;
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
