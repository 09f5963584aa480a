import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Page } from 'playwright-core';
import { type RunningCluster, startCluster } from '../support/cluster.ts';
import { watchLive } from '../support/live.ts';
import { type Proxy as Network, startProxy } from '../support/proxy.ts';
import { BACKPACK } from '../support/visitor.ts';
import { until, whenDone } from '../support/wait.ts';
import { openWindow, startBrowser } from './window.ts';

const CHART = 'Requisições e erros por segundo';
const VIEWS = `shop_product_views_total{product="${BACKPACK.slug}"}`;

interface OpenPage {
  readonly shop: RunningCluster;
  /** The network between the browser and the primary. */
  readonly network: Network;
  readonly page: Page;
}

/** The live page of a shop, with its stream. */
async function openPage(t: TestContext): Promise<OpenPage> {
  const browser = await startBrowser(t);
  const shop = await startCluster(t, { workers: 1 });
  const network = await startProxy(t, shop.opsUrl);
  const { page } = await openWindow(browser, new URL(network.url).origin);
  await page.goto('/');
  await isLive(page);
  return { shop, network, page };
}

async function isLive(page: Page): Promise<void> {
  await page.locator('body:not(.is-stale) [data-connection="live"]').waitFor({ timeout: 120_000 });
}

async function turnsGrey(page: Page): Promise<void> {
  await page.locator('body.is-stale').waitFor({ timeout: 60_000 });
  assert.match(await page.locator('[data-stale]').innerText(), /^Sem notícias da loja: os números têm \d+/);
  assert.match(await page.title(), /^\?/);
}

const viewsOf = (page: Page) => page.locator(`main [data-key=${JSON.stringify(VIEWS)}]`).first();

/** Views a product and waits until the page shows that many views. */
async function viewsAreShown(page: Page, views: number): Promise<void> {
  await until(
    `${views} views are shown`,
    async () => (await viewsOf(page).getAttribute('data-value')) === String(views),
  );
}

/** The rows of a chart's table, the latest first: the time and the values. */
async function tableOf(page: Page): Promise<{ time: string; values: string[] }[]> {
  const chart = page.getByRole('figure', { name: CHART });
  const toggle = chart.getByRole('button');
  await toggle.click();
  const rows = await chart
    .locator('tbody tr')
    .evaluateAll((all) =>
      all.map((row) =>
        Array.from((row as unknown as { cells: { innerText: string }[] }).cells, (cell) => cell.innerText),
      ),
    );
  await toggle.click();
  return rows.map(([time = '', ...values]) => ({ time, values }));
}

const isGap = ({ values }: { readonly values: readonly string[] }) => values.every((value) => value === '–');

test('a connection that dies in silence is made anew, and the charts have what was missed', async (t) => {
  const { shop, network, page } = await openPage(t);
  const visitor = shop.visitor();
  await visitor.get('/detail/1');
  await viewsAreShown(page, 1);

  network.forget();
  await turnsGrey(page);
  const missed = await page.evaluate<string[]>(
    '[1, 2, 3, 4, 5].map((seconds) => new Date(Date.now() - seconds * 1000).toTimeString().slice(0, 8))',
  );
  await visitor.get('/detail/1');
  await isLive(page);
  await viewsAreShown(page, 2);
  await until('the time without a connection is in the chart', async () => {
    const rows = (await tableOf(page)).filter((row) => !isGap(row));
    return rows.some(({ time }) => missed.some((second) => time.includes(second)));
  });
});

test('a primary that stood still leaves a gap in the charts, not a line', async (t) => {
  const { shop, page } = await openPage(t);
  const { primary } = await shop.status();
  await until('the chart has a course', async () => (await tableOf(page)).filter((row) => !isGap(row)).length > 3);
  process.kill(primary.pid, 'SIGSTOP');
  let isStopped = true;
  const goOn = () => {
    if (isStopped) process.kill(primary.pid, 'SIGCONT');
    isStopped = false;
  };
  whenDone(t, goOn);
  await turnsGrey(page);
  goOn();
  await isLive(page);
  await until('the gap is in the chart', async () => {
    const rows = await tableOf(page);
    const gap = rows.findIndex(isGap);
    return gap > 0 && rows.slice(gap + 1).some((row) => !isGap(row));
  });
});

test('a browser without a network turns grey and comes back with it', async (t) => {
  const { shop, network, page } = await openPage(t);
  await page.context().setOffline(true);
  network.cut();
  await turnsGrey(page);
  await shop.visitor().get('/detail/1');
  await page.context().setOffline(false);
  await isLive(page);
  await viewsAreShown(page, 1);
});

test('a page that the browser has frozen shows the numbers of now when it is thawed', async (t) => {
  const { shop, page } = await openPage(t);
  const devtools = await page.context().newCDPSession(page);
  await devtools.send('Page.setWebLifecycleState', { state: 'frozen' });
  const visitor = shop.visitor();
  for (let i = 0; i < 3; i++) await visitor.get('/detail/1');
  await devtools.send('Page.setWebLifecycleState', { state: 'active' });
  await isLive(page);
  await viewsAreShown(page, 3);
});

test('a page in a hidden tab draws nothing, and shows all when it is looked at', async (t) => {
  const { shop, page } = await openPage(t);
  // Headless Chromium takes every page as being in sight.
  const setHidden = (isHidden: boolean) =>
    page.evaluate(`Object.defineProperty(document, 'hidden', { configurable: true, value: ${isHidden} });
      document.dispatchEvent(new Event('visibilitychange'))`);
  const viewer = await watchLive(t, shop);
  await setHidden(true);
  await shop.visitor().get('/detail/1');
  await until('another viewer sees it', () => viewer.value(VIEWS) === 1);
  assert.equal(await viewsOf(page).getAttribute('data-value'), '0');
  await setHidden(false);
  await viewsAreShown(page, 1);
});

test('after a sleep of the computer the page says how old its numbers are, and connects anew', async (t) => {
  const { network, page } = await openPage(t);
  // The monotonic clock of some systems stands still in a sleep; the wall clock does not.
  network.forget();
  await page.evaluate('Date.now = ((now) => () => now() + 3_600_000)(Date.now)');
  await until('the age is an hour', async () => /têm 1 h/.test(await page.locator('[data-stale]').innerText()));
  await isLive(page);
});

test('the commands and queries of the seven metrics can be copied', async (t) => {
  const { page } = await openPage(t);
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await page.getByText('As sete métricas').click();
  const recipes = page.locator('.recipe dd').filter({ has: page.locator('[data-copy]') });
  assert.equal(await recipes.count(), 14);
  for (const recipe of await recipes.all()) {
    const code = await recipe.locator('code').textContent();
    await recipe.locator('[data-copy]').click();
    await until('it is copied', async () => (await page.evaluate('navigator.clipboard.readText()')) === code);
    assert.equal(await recipe.locator('[data-copy]').innerText(), 'Copiado');
  }
});
