import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Browser, Route } from 'playwright-core';
import { type RunningCluster, startCluster } from '../support/cluster.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import { BACKPACK } from '../support/visitor.ts';
import { until } from '../support/wait.ts';
import { accessibilityFaults, DESKTOP, fillCheckout, openWindow, overflow, PHONE, startBrowser } from './window.ts';

test('a shopper pays by Pix', async (t) => {
  const browser = await startBrowser(t);
  const database = await testDatabase(t);
  const shop = await startCluster(t, { workers: 2, database });
  await t.test('with JavaScript', (t) => journey(t, browser, shop, database, true));
  await t.test('without JavaScript', (t) => journey(t, browser, shop, database, false));
});

async function journey(
  t: TestContext,
  browser: Browser,
  shop: RunningCluster,
  { knex }: TestDatabase,
  javaScript: boolean,
) {
  const { page, follow, complaints } = await openWindow(browser, shop.shopUrl, { javaScript, width: PHONE });
  const charges = () => knex('simulated_provider_payments').where('state', 'waiting');
  const heading = () => page.locator('h1').innerText();
  const headingBecomes = (text: string) => until(text, async () => (await heading()) === text);

  /** Looks at the page on a phone and a screen, in light and dark. */
  async function look(): Promise<void> {
    for (const [width, colorScheme] of [
      [PHONE, 'light'],
      [DESKTOP, 'dark'],
    ] as const) {
      await page.setViewportSize({ width, height: 800 });
      await page.emulateMedia({ colorScheme });
      assert.equal(await overflow(page), 0, `wider than ${width} pixels`);
      if (javaScript) assert.deepEqual(await accessibilityFaults(page), []);
    }
  }

  async function chooseAndOrder(): Promise<void> {
    await page.goto('/checkout');
    await fillCheckout(page);
    await page.getByLabel('Pix', { exact: true }).check();
    assert.equal(await page.getByLabel('Número do cartão').isVisible(), false);
    await follow(() => page.getByRole('button', { name: /Finalizar pedido/ }).click());
    // The page stays as long as this test looks at it.
    await charges().update({ pays_at: null });
    assert.equal(await heading(), 'Pague com Pix');
  }

  await t.test('the fields of a card are there for a card alone', async () => {
    await page.goto('/detail/1');
    await follow(() => page.getByRole('button', { name: 'Adicionar ao carrinho', exact: true }).click());
    await page.goto('/checkout');
    assert.equal(await page.getByLabel('Número do cartão').isVisible(), true);
    await page.getByLabel('Pix', { exact: true }).check();
    await look();
  });

  await t.test('a Pix that expires leads back to the cart', async () => {
    await chooseAndOrder();
    await look();
    await follow(() => page.getByRole('button', { name: 'Simular que expirou' }).click());
    assert.equal(await heading(), 'O Pix expirou');
    await look();
    await follow(() => page.getByRole('link', { name: 'Voltar ao carrinho' }).last().click());
    assert.match(await page.locator('main').innerText(), new RegExp(BACKPACK.name));
  });

  await t.test('the page of a Pix that is paid elsewhere goes on to the order by itself', async () => {
    await chooseAndOrder();
    const code = await page.getByLabel('Pix copia e cola').inputValue();
    assert.match(code, /br\.gov\.bcb\.pix.*6304[\dA-F]{4}$/);
    if (javaScript) {
      const before = await page.getByRole('timer').innerText();
      await until('the time goes on', async () => (await page.getByRole('timer').innerText()) !== before);
      // The script asks again.
      const unanswered: Route[] = [];
      await page.route('**/state', async (route) => {
        if (unanswered.push(route) > 1) await route.continue();
      });
      await until('the script waits for an answer', () => unanswered.length > 0);
    }
    await charges().update({ pays_at: knex.fn.now() });
    await headingBecomes('Pedido confirmado');
    assert.match(new URL(page.url()).pathname, /^\/order_confirmation\/FS-/);
    assert.match(await page.locator('main').innerText(), /Pix/);
  });

  await t.test('a shopper who pays on the page sees the order', async () => {
    await page.goto('/detail/1');
    await follow(() => page.getByRole('button', { name: 'Adicionar ao carrinho', exact: true }).click());
    await chooseAndOrder();
    await page.getByRole('button', { name: 'Simular pagamento' }).click();
    await headingBecomes('Pedido confirmado');
  });

  assert.deepEqual(complaints, []);
}
