import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { type RunningCluster, startCluster } from '../support/cluster.ts';
import { until } from '../support/wait.ts';
import { accessibilityFaults, openWindow, PHONE, startBrowser } from './window.ts';

test('a change of the cart leaves the shopper where they are', async (t) => {
  const browser = await startBrowser(t);
  const shop = await startCluster(t, { workers: 1, database: 'embedded' });
  await t.test('with JavaScript', (t) => changesInPlace(t, browser, shop));
  await t.test('without JavaScript', () => changesAndComesBack(browser, shop));
});

const PRODUCTS = [1, 2, 3, 4, 5, 6, 7, 8];

/** Opens the cart with one unit of each product. */
async function openCart(browser: Browser, shop: RunningCluster, javaScript: boolean) {
  const window = await openWindow(browser, shop.shopUrl, { javaScript, width: PHONE });
  const { page } = window;
  for (const id of PRODUCTS) await page.request.post(`/add_to_cart/${id}`, { form: { quantity: 1 } });
  await page.goto('/cart');
  assert.equal(await page.locator('.cart__item').count(), PRODUCTS.length);
  return window;
}

const itemAt = (page: Page, index: number) => page.locator('.cart__item').nth(index);
const units = (page: Page) => page.locator('.badge').innerText();
const unitsBecome = (page: Page, count: number) =>
  until(`the cart has ${count} units`, async () => (await units(page)).startsWith(String(count)));
const focusedId = (page: Page) => page.evaluate<string>('document.activeElement.id');
const scrollY = (page: Page) => page.evaluate<number>('scrollY');

async function changesInPlace(t: TestContext, browser: Browser, shop: RunningCluster) {
  const { page, documents, complaints } = await openCart(browser, shop, true);
  const before = await shop.metrics();
  const opened = documents.length;
  const message = page.getByRole('status');

  await t.test('a quantity by mouse', async () => {
    const more = itemAt(page, 5).getByRole('button', { name: 'Aumentar' });
    const id = await more.getAttribute('id');
    await more.click();
    const place = await scrollY(page);
    assert.ok(place > 0);
    await unitsBecome(page, 9);
    assert.match(await message.innerText(), /^Quantidade atualizada\.\s+9 itens no carrinho\./);
    assert.equal(await itemAt(page, 5).getByRole('spinbutton').getAttribute('value'), '2');
    assert.equal(await scrollY(page), place);
    assert.equal(await focusedId(page), id);
  });

  await t.test('a removal by keyboard, and the focus is at the next item', async () => {
    const next = await itemAt(page, 5).getByRole('button', { name: 'Remover' }).getAttribute('id');
    await itemAt(page, 4).getByRole('button', { name: 'Remover' }).focus();
    const place = await scrollY(page);
    await page.keyboard.press('Enter');
    await unitsBecome(page, 8);
    assert.equal(await page.locator('.cart__item').count(), 7);
    assert.equal(await focusedId(page), next);
    assert.equal(await scrollY(page), place);
    assert.deepEqual(await accessibilityFaults(page), []);
  });

  await t.test('changes of two items in a row', async () => {
    await itemAt(page, 0).getByRole('button', { name: 'Aumentar' }).click();
    await itemAt(page, 1).getByRole('button', { name: 'Aumentar' }).click();
    await itemAt(page, 1).getByRole('button', { name: 'Aumentar' }).click();
    await unitsBecome(page, 11);
    await until('both are shown', async () => {
      const quantities = [0, 1].map((index) => itemAt(page, index).getByRole('spinbutton').getAttribute('value'));
      return String(await Promise.all(quantities)) === '2,3';
    });
  });

  await t.test('the checkout waits for a quantity that was just typed', async () => {
    await itemAt(page, 0).getByRole('spinbutton').fill('7');
    await page.getByRole('link', { name: 'Continuar para o pagamento' }).click();
    await page.waitForURL('**/checkout');
    await page.goto('/cart');
    assert.equal(await itemAt(page, 0).getByRole('spinbutton').inputValue(), '7');
  });

  await t.test('until nothing is left', async () => {
    for (let left = 6; left >= 0; left--) {
      await itemAt(page, left).getByRole('button', { name: 'Remover' }).click();
      await until(`${left} items are left`, async () => (await page.locator('.cart__item').count()) === left);
    }
    assert.match(await page.locator('h1').innerText(), /carrinho está vazio/);
    assert.equal(await focusedId(page), 'conteudo');
    assert.equal(await page.locator('.badge').count(), 0);
  });

  const changes = documents.slice(opened).filter(({ method }) => method === 'POST');
  assert.equal(changes.length, 1 + 1 + 2 + 1 + 7);
  const change = (await shop.metrics()).since(before);
  assert.equal(change.of('shop_db_operation_duration_seconds_count', { operation: 'delete', table: 'cart_items' }), 8);
  assert.equal(change.of('shop_errors_total'), 0);
  assert.deepEqual(complaints, []);
}

async function changesAndComesBack(browser: Browser, shop: RunningCluster) {
  const { page, follow, complaints } = await openCart(browser, shop, false);
  const id = await itemAt(page, 5).getAttribute('id');
  await itemAt(page, 5).getByRole('spinbutton').fill('3');
  await follow(() => itemAt(page, 5).getByRole('button', { name: 'Atualizar' }).click());
  assert.ok(page.url().endsWith(`/cart#${id}`));
  assert.match(await units(page), /^10\b/);
  await assertInSight(page, `#${id}`);
  await assertInSight(page, '.flash');

  const next = await itemAt(page, 6).getAttribute('id');
  await follow(() => itemAt(page, 5).getByRole('button', { name: 'Remover' }).click());
  assert.ok(page.url().endsWith(`/cart#${next}`));
  await assertInSight(page, `#${next}`);
  await assertInSight(page, '.flash');
  assert.deepEqual(complaints, []);
}

async function assertInSight(page: Page, selector: string) {
  const box = await page.locator(selector).boundingBox();
  assert.ok(box && box.y >= 0 && box.y < 800, `${selector} is at ${box?.y}`);
}
