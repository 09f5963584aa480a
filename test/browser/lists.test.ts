import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Browser, Page, Route } from 'playwright-core';
import { type RunningCluster, startCluster } from '../support/cluster.ts';
import { until } from '../support/wait.ts';
import { accessibilityFaults, DESKTOP, openWindow, PHONE, startBrowser } from './window.ts';

test('an add from a list', async (t) => {
  const browser = await startBrowser(t);
  const shop = await startCluster(t, { workers: 1, database: 'embedded' });
  await t.test('leaves the shopper at the card, with JavaScript', (t) => addsInPlace(t, browser, shop));
  await t.test('leads back to the card, without JavaScript', () => addsAndComesBack(browser, shop));
  await t.test('without an answer is not sent again: the cart shows what it did', () => addsOnce(browser, shop));
  await t.test('that is refused leads to the page that says why', () => isRefused(browser, shop));
});

test('product cards', async (t) => {
  const browser = await startBrowser(t);
  const shop = await startCluster(t, { workers: 1, database: 'embedded' });
  const { page } = await openWindow(browser, shop.shopUrl, { width: PHONE });
  const boxOf = async (selector: string) =>
    (await page.locator(selector).first().boundingBox()) ?? assert.fail(selector);

  await t.test('home shows the first on the first screen of a phone', async () => {
    await page.setViewportSize({ width: PHONE, height: 740 });
    await page.goto('/');
    assert.ok((await boxOf('.card')).y < 740);
    const target = await boxOf('.card .button');
    assert.ok(target.height >= 44, `a target is ${target.height} pixels high`);
  });

  for (const width of [PHONE, 768, DESKTOP]) {
    await t.test(`one that is sold out has no hole at ${width} pixels`, async () => {
      await page.setViewportSize({ width, height: 800 });
      await page.goto('/shop?page=2');
      const [soldOut, other] = [await boxOf('.card--sold-out'), await boxOf('li:nth-child(2) .card')];
      assert.deepEqual([soldOut.y, soldOut.height], [other.y, other.height], 'beside each other');
      const buttons = [await boxOf('.card--sold-out .button'), await boxOf('li:nth-child(2) .card .button')];
      assert.equal(buttons[0]?.y, buttons[1]?.y);
      const [picture, place] = [await boxOf('.card__picture'), await boxOf('.card__media')];
      assert.deepEqual([picture.width, picture.height], [place.width, place.height]);
    });
  }

  await t.test('one that is sold out leads to others like it', async () => {
    await page.getByRole('link', { name: 'Ver parecidos com Relógio de pulso' }).click();
    await page.waitForURL('**/shop?category=bolsas-e-acessorios');
  });
});

const badge = (page: Page) => page.locator('.badge').innerText();
const focusedCard = (page: Page) => page.evaluate<string>('document.activeElement.closest(".card")?.id');
const scrollY = (page: Page) => page.evaluate<number>('scrollY');
const counts = (page: Page, units: number) =>
  until(`the cart has ${units}`, async () => (await badge(page)).startsWith(String(units)));
const addButton = (page: Page, id: number) => page.locator(`#produto-${id}`).getByRole('button', { name: 'Adicionar' });

async function addsInPlace(t: TestContext, browser: Browser, shop: RunningCluster) {
  const { page, documents, complaints } = await openWindow(browser, shop.shopUrl, { width: PHONE });
  const before = await shop.metrics();
  for (const [list, first, second] of [
    ['/shop?page=2', 22, 24],
    ['/', 6, 20],
  ] as const) {
    await t.test(`by mouse and keyboard on ${list}`, async () => {
      const units = list === '/' ? 2 : 0;
      await page.goto(list);
      const address = page.url();
      const navigations = documents.length;
      await addButton(page, first).click();
      const place = await scrollY(page);
      assert.ok(place > 0, 'the card is below the first screen');
      await counts(page, units + 1);
      const message = page.getByRole('status');
      const count = units + 1 === 1 ? '1 item' : `${units + 1} itens`;
      assert.match(
        await message.innerText(),
        new RegExp(`^Produto adicionado ao carrinho\\.\\s+${count} no carrinho\\.`),
      );
      assert.equal(await scrollY(page), place);
      assert.equal(await focusedCard(page), `produto-${first}`);

      await addButton(page, second).focus();
      await page.keyboard.press('Enter');
      await counts(page, units + 2);
      assert.equal(page.url(), address);
      assert.ok(await message.locator('.flash').isVisible());
      assert.deepEqual(
        documents.slice(navigations).map(({ method, path, status }) => `${method} ${path} ${status}`),
        [first, second].flatMap((id) => [`POST /add_to_cart/${id} 302`, `GET ${new URL(address).pathname} 200`]),
        'nothing was loaded but the two adds',
      );
      assert.deepEqual(await accessibilityFaults(page), []);
    });
  }
  const change = (await shop.metrics()).since(before);
  assert.equal(change.of('shop_cart_additions_total'), 4);
  assert.equal(change.of('shop_product_views_total'), 0);
  assert.deepEqual(complaints, []);
}

async function addsAndComesBack(browser: Browser, shop: RunningCluster) {
  const { page, follow, complaints } = await openWindow(browser, shop.shopUrl, { javaScript: false, width: PHONE });
  const before = await shop.metrics();
  await page.goto('/shop?page=2&sort=name');
  const card = page.locator('.card').last();
  await follow(() => card.getByRole('button', { name: 'Adicionar' }).click());
  assert.match(page.url(), /\/shop\?sort=name&page=2#produto-\d+$/);
  assert.match(await badge(page), /^1\b/);
  const [cardBox, messageBox] = [await card.boundingBox(), await page.locator('.flash').boundingBox()];
  assert.ok(cardBox && cardBox.y >= 0 && cardBox.y < 800, 'the card is in sight');
  assert.ok(messageBox && messageBox.y >= 0 && messageBox.y < cardBox.y, 'the message is in sight above it');
  const change = (await shop.metrics()).since(before);
  assert.equal(change.of('shop_cart_additions_total'), 1);
  assert.deepEqual(complaints, []);
}

async function addsOnce(browser: Browser, shop: RunningCluster) {
  for (const [answer, units] of [
    [(route: Route) => route.abort(), 0],
    [(route: Route) => route.fetch().then(() => route.abort()), 1],
    [(route: Route) => route.fetch().then(() => route.fulfill({ status: 503 })), 1],
    [(route: Route) => route.fetch().then(() => route.fulfill({ status: 200, body: 'Wi-Fi' })), 1],
  ] as const) {
    const { page, documents } = await openWindow(browser, shop.shopUrl);
    await page.goto('/shop');
    await page.route('**/add_to_cart/*', (route) => answer(route));
    const before = await shop.metrics();
    await addButton(page, 1).click();
    await page.waitForURL('**/cart');
    assert.equal(await page.locator('.cart__item').count(), units);
    assert.equal((await shop.metrics()).since(before).of('shop_cart_units_added_total'), units);
    assert.ok(documents.filter(({ method }) => method === 'POST').length <= 1, 'one attempt');
  }
}

async function isRefused(browser: Browser, shop: RunningCluster) {
  const { page, follow } = await openWindow(browser, shop.shopUrl);
  await page.request.post('/add_to_cart/1', { form: { quantity: 99 } });
  await page.goto('/shop');
  await follow(() => addButton(page, 1).click());
  assert.match(await page.locator('main').innerText(), /O carrinho leva no máximo 99 unidades/);
  assert.match(await badge(page), /^99\b/);
}
