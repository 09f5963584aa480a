import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Page, Request } from 'playwright-core';
import { startCluster } from '../support/cluster.ts';
import { openPool, testDatabase } from '../support/database.ts';
import { PATIENT } from '../support/test-server.ts';
import { until } from '../support/wait.ts';
import { accessibilityFaults, openWindow, startBrowser } from './window.ts';

/** A page that the database kept waiting is asked for again after this time at the earliest. */
const RETRY_AFTER_MS = 2_000;
const NO_TIMING = { startTime: Number.NaN, responseStart: Number.NaN };

async function openRefusal(t: TestContext, env: Record<string, string> = {}) {
  const database = await testDatabase(t);
  const shop = await startCluster(t, { workers: 1, database: database.connection, env });
  const browser = await startBrowser(t);
  const window = await openWindow(browser, shop.shopUrl);
  await window.page.goto('/detail/1');
  return { ...window, browser, shop, database };
}

const retryText = (page: Page) => page.locator('[data-retry-after]').textContent();

test('a page that is refused for a moment is asked for again by itself, ever later, and then shown', async (t) => {
  const { page, shop, database, complaints } = await openRefusal(t);
  const lock = await openPool(t, database.connection, { deadlines: PATIENT }).transaction();
  await lock.raw('lock table carts, cart_items in access exclusive mode');
  const requests: Request[] = [];
  page.on('request', (request) => request.isNavigationRequest() && requests.push(request));

  const asked = async () => (await shop.metrics()).of('http_request_duration_seconds_count', { route: '/cart' });
  await page.goto('/cart');
  assert.match((await retryText(page)) ?? '', /^Vamos tentar de novo em \d segundos?\.$/);
  assert.deepEqual(await accessibilityFaults(page), []);
  await until('it is asked for again', async () => (await asked()) === 2);
  assert.deepEqual(complaints, []);

  await lock.rollback();
  await until('the cart is shown', async () => /carrinho/.test((await page.locator('h1').textContent()) ?? ''));
  assert.equal(await asked(), 3);
  const [first, second, third] = requests.map((request) => request.timing());
  const pauseMs = (from = NO_TIMING, to = NO_TIMING) => to.startTime - from.startTime - from.responseStart;
  assert.ok(
    pauseMs(first, second) >= RETRY_AFTER_MS,
    `asked again ${pauseMs(first, second)} ms after the first refusal`,
  );
  assert.ok(pauseMs(second, third) >= 2 * RETRY_AFTER_MS, `${pauseMs(second, third)} ms after the second`);
});

test('a form that is refused is sent again by the shopper alone', async (t) => {
  const { page, follow, browser, shop, complaints } = await openRefusal(t, { RATE_LIMIT: '1' });
  const add = page.getByRole('button', { name: 'Adicionar ao carrinho', exact: true });
  await follow(() => add.click());
  await page.clock.install();
  await follow(() => add.click());
  assert.equal(await page.locator('h1').textContent(), 'Só um instante');
  assert.match(await page.locator('.badge').innerText(), /^1\b/);
  assert.match((await retryText(page)) ?? '', /^Você pode enviar de novo em \d+ segundos?\.$/);
  assert.deepEqual(await accessibilityFaults(page), []);
  const before = await shop.metrics();
  await page.clock.runFor(61_000);
  await until('it is told', async () => /^Pronto/.test((await retryText(page)) ?? ''));
  assert.equal((await shop.metrics()).since(before).of('http_request_duration_seconds_count'), 0, 'nothing is sent');
  await follow(() => page.getByRole('button', { name: 'Voltar e enviar de novo' }).click());
  assert.match(page.url(), /\/detail\/1$/);
  assert.deepEqual(complaints, []);

  const plain = await openWindow(browser, shop.shopUrl, { javaScript: false });
  await plain.page.goto('/detail/1');
  await plain.follow(() => plain.page.getByRole('button', { name: 'Adicionar ao carrinho', exact: true }).click());
  assert.match(
    (await retryText(plain.page)) ?? '',
    /^Espere \d+ segundos?, volte à página anterior e envie de novo\.$/,
  );
  assert.equal(await plain.page.getByRole('button', { name: 'Voltar e enviar de novo' }).count(), 0);
});
