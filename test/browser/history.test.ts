import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type RunningCluster, startCluster } from '../support/cluster.ts';
import { until } from '../support/wait.ts';
import { openWindow, startBrowser, type Window, type WindowOptions } from './window.ts';

test('a page that is gone back to shows the cart as it is now', async (t) => {
  const shop = await startCluster(t, { workers: 1, database: 'embedded' });
  await t.test('from the cache of a browser', async (t) => {
    const window = await backToTheList(t, shop);
    assert.equal(await navigationOf(window), 'back_forward');
  });
  await t.test('from the cache of a browser without JavaScript', async (t) => {
    await backToTheList(t, shop, { javaScript: false });
  });
  await t.test('in a browser that has kept the living page', async (t) => {
    const window = await backToTheList(t, shop, { keepsLivingPages: true });
    assert.equal(await navigationOf(window), 'reload', 'the page was alive, and has asked again');
  });
});

/** Opens a list and leaves it, adds a product in another tab, goes back to the list, and waits for the count. */
async function backToTheList(
  t: TestContext,
  shop: RunningCluster,
  { keepsLivingPages = false, ...options }: WindowOptions & { keepsLivingPages?: boolean } = {},
): Promise<Window> {
  const browser = await startBrowser(t, { keepsLivingPages });
  const window = await openWindow(browser, shop.shopUrl, options);
  const { page, follow, documents } = window;
  const badge = page.locator('.badge');
  // The first page brings the cookie, so that no browser keeps it.
  await page.goto('/contact');
  const list = await page.goto('/shop');
  assert.equal(list?.headers()['cache-control'], 'private, no-cache');
  assert.equal(await badge.count(), 0);
  await follow(() => page.getByRole('link', { name: 'Contato' }).click());
  const tab = await page.context().newPage();
  await tab.goto('/detail/1');
  await tab.getByRole('button', { name: 'Adicionar ao carrinho', exact: true }).click();
  await tab.locator('.badge').waitFor();
  await tab.close();

  const before = documents.length;
  await page.goBack({ waitUntil: 'commit' });
  await until('the list shows the count', async () => (await badge.allInnerTexts()).join().startsWith('1'));
  assert.equal(new URL(page.url()).pathname, '/shop');
  assert.deepEqual(
    documents.slice(before).map(({ path, status }) => [path, status]),
    [['/shop', 200]],
    'the browser has asked the shop',
  );
  return window;
}

function navigationOf({ page }: Window): Promise<string> {
  return page.evaluate<string>('performance.getEntriesByType("navigation")[0].type');
}
