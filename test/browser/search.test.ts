import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Browser, Page, Route } from 'playwright-core';
import { type RunningCluster, startCluster } from '../support/cluster.ts';
import { until } from '../support/wait.ts';
import { accessibilityFaults, openWindow, startBrowser } from './window.ts';

/** As long as the script waits for another letter. */
const TYPING_MS = 300;

/** Types while the page's time stands still, so that a slow machine types as quickly as any. */
async function typeAtOnce(page: Page, text: string) {
  await page.clock.pauseAt((await page.evaluate<number>('Date.now()')) + 60_000);
  await page.getByRole('searchbox').pressSequentially(text);
}

/** Types, and lets the time pass after which the script asks. */
async function type(page: Page, text: string) {
  await typeAtOnce(page, text);
  await page.clock.runFor(TYPING_MS);
  await page.clock.resume();
}

test('a list follows what a shopper types and chooses', async (t) => {
  const browser = await startBrowser(t);
  const shop = await startCluster(t, { workers: 1, database: 'embedded' });
  await t.test('with JavaScript', (t) => searchesInPlace(t, browser, shop));
  await t.test('with one request where a shopper presses Enter', () => searchesOnce(browser, shop));
  await t.test('by the browser itself, where the script gets no answer', () => searchesWithoutAnswer(browser, shop));
  await t.test('from home, with a way back', () => searchesFromHome(browser, shop));
  await t.test('at a button, without JavaScript', () => searchesByButton(browser, shop));
});

const names = (page: Page) => page.locator('.card__link').allInnerTexts();
const query = (page: Page) => new URL(page.url()).search;
const focusedId = (page: Page) => page.evaluate<string>('document.activeElement.id');

async function searchesInPlace(t: TestContext, browser: Browser, shop: RunningCluster) {
  const { page, documents, complaints } = await openWindow(browser, shop.shopUrl);
  await page.clock.install();
  await page.goto('/shop?page=2');
  const loaded = await page.evaluate<number>('performance.timeOrigin');
  const box = page.getByRole('searchbox');
  const status = page.getByRole('status');

  await t.test('a search, with one request for all letters', async () => {
    await box.focus();
    const before = documents.length;
    await type(page, 'relogios');
    await until('the watches are found', async () => (await names(page)).length === 2);
    assert.equal(documents.length, before + 1);
    assert.equal(query(page), '?q=relogios');
    assert.match(await page.title(), /Resultados para “relogios”/);
    assert.equal(await page.locator('h1').innerText(), 'Resultados para “relogios”');
    assert.equal(await status.innerText(), '2 produtos');
    assert.equal(await focusedId(page), 'busca');
    assert.equal(await box.inputValue(), 'relogios');
    assert.deepEqual(await accessibilityFaults(page), []);
  });

  await t.test('a search that is overtaken by a later one is given up', async () => {
    await box.fill('');
    await page.clock.runFor(TYPING_MS);
    await until('all are listed again', async () => (await names(page)).length === 12);
    const first = /q=ca$/;
    const held: Route[] = [];
    await page.route(first, (route) => void held.push(route));
    await type(page, 'ca');
    await until('the first is asked for', () => held.length === 1);
    const givenUp = page.waitForEvent('requestfailed', (request) => first.test(request.url()));
    await type(page, 'necas');
    await givenUp;
    await until('the mugs are found', async () => (await names(page)).length === 1);
    assert.equal(query(page), '?q=canecas');
  });

  await t.test('an order and a category, by keyboard and mouse', async () => {
    await box.fill('');
    await page.clock.runFor(TYPING_MS);
    await until('all are listed again', async () => (await names(page)).length === 12);
    await page.getByLabel('Ordenar por').focus();
    await page.keyboard.press('N');
    await until('the list has its order', () => query(page) === '?sort=name');
    await until('the first is shown', async () => (await names(page))[0]?.startsWith('Barraca'));
    assert.equal(await focusedId(page), 'ordem');
    await page.getByLabel('Categoria', { exact: true }).selectOption({ label: 'Áudio' });
    await until('the category is shown', async () => (await names(page)).length === 4);
    assert.equal(query(page), '?category=audio&sort=name');
    assert.equal(await page.locator('.categories [aria-current]').innerText(), 'Áudio');
    assert.equal(await status.innerText(), '4 produtos');
    assert.ok(await page.getByRole('button', { name: 'Aplicar' }).isHidden());
  });

  await t.test('an add from what was found', async () => {
    await page.getByRole('button', { name: 'Adicionar' }).first().click();
    await until('it is counted', async () => (await page.locator('.badge').innerText()).startsWith('1'));
    assert.equal(query(page), '?category=audio&sort=name');
  });

  assert.equal(await page.evaluate<number>('performance.timeOrigin'), loaded, 'the page was never left');
  await page.reload();
  assert.equal((await names(page)).length, 4, 'the address is that of the list');
  assert.deepEqual(complaints, []);
}

async function searchesFromHome(browser: Browser, shop: RunningCluster) {
  const { page, complaints } = await openWindow(browser, shop.shopUrl);
  await page.clock.install();
  await page.goto('/');
  for (const [text, count] of [
    ['fon', 2],
    ['es pingo', 1],
  ] as const) {
    await type(page, text);
    await until(`${text} is found`, async () => query(page) !== '' && (await names(page)).length === count);
  }
  assert.equal(query(page), '?q=fones+pingo');
  assert.equal(await focusedId(page), 'busca');
  await page.goBack();
  await page.getByRole('heading', { name: 'Destaques' }).waitFor();
  assert.equal(new URL(page.url()).pathname, '/');
  await page.goForward();
  await page.getByRole('heading', { name: 'Resultados para “fones pingo”' }).waitFor();
  assert.deepEqual(await names(page), ['Fones intra-auriculares Pingo']);
  assert.deepEqual(complaints, []);
}

async function searchesOnce(browser: Browser, shop: RunningCluster) {
  const { page, complaints } = await openWindow(browser, shop.shopUrl);
  await page.clock.install();
  await page.goto('/');
  const asked: string[] = [];
  await page.route('**/shop?*', async (route) => {
    asked.push(route.request().resourceType());
    // The page stays, as while it waits for the list.
    await route.fulfill({ status: 204 });
  });
  await typeAtOnce(page, 'fones');
  await page.keyboard.press('Enter');
  await until('the list is asked for', () => asked.length > 0);
  await page.clock.runFor(TYPING_MS);
  // A request of the script would come before this one.
  await page.evaluate("fetch('/shop?last')");
  assert.deepEqual(asked, ['document', 'fetch']);
  assert.deepEqual(complaints, []);
}

async function searchesWithoutAnswer(browser: Browser, shop: RunningCluster) {
  const { page, complaints } = await openWindow(browser, shop.shopUrl);
  await page.addInitScript('AbortSignal.timeout = AbortSignal.timeout.bind(AbortSignal, 1)');
  await page.goto('/shop');
  await page.route('**/shop?*', (route) => {
    // The script's own request is never answered.
    if (route.request().isNavigationRequest()) return route.continue();
  });
  await page.getByLabel('Ordenar por').selectOption({ label: 'Menor preço' });
  await page.waitForURL('**/shop?*sort=price_asc');
  assert.deepEqual(complaints, []);
}

async function searchesByButton(browser: Browser, shop: RunningCluster) {
  const { page, follow, complaints } = await openWindow(browser, shop.shopUrl, { javaScript: false });
  await page.goto('/shop');
  await page.getByRole('searchbox').fill('fones');
  await follow(() => page.getByRole('button', { name: 'Buscar' }).click());
  assert.equal((await names(page)).length, 2);
  await page.getByLabel('Ordenar por').selectOption({ label: 'Maior preço' });
  await follow(() => page.getByRole('button', { name: 'Aplicar' }).click());
  assert.match(query(page), /q=fones&.*sort=price_desc/);
  assert.match((await names(page))[0] ?? '', /^Fone de ouvido/);
  assert.deepEqual(complaints, []);
}
