import assert from 'node:assert/strict';
import { test } from 'node:test';
import { products } from '../../seeds/catalogue.ts';
import { startCluster } from '../support/cluster.ts';
import type { CUSTOMER } from '../support/visitor.ts';
import {
  accessibilityFaults,
  DESKTOP,
  fillCheckout,
  openWindow,
  overflow,
  PHONE,
  startBrowser,
  type Window,
} from './window.ts';

const SOLD_OUT = products.findIndex(({ stock }) => stock === 0) + 1;

/** Every page of the shop, in an order that one shopper can visit. A part of its headings identifies a page. */
const PAGES: Array<{ name: string; heading: RegExp; open: (window: Window) => Promise<unknown> }> = [
  { name: 'home', heading: /Coisas úteis/, open: ({ page }) => page.goto('/') },
  { name: 'all products', heading: /Todos os produtos/, open: ({ page }) => page.goto('/shop') },
  { name: 'second page', heading: /Todos os produtos/, open: ({ page }) => page.goto('/shop?page=2') },
  { name: 'category', heading: /Cozinha/, open: ({ page }) => page.goto('/shop?category=cozinha&sort=price_asc') },
  { name: 'no results', heading: /Resultados para “xyzzy”/, open: ({ page }) => page.goto('/shop?q=xyzzy') },
  { name: 'product', heading: /Mochila Urbana/, open: ({ page }) => page.goto('/detail/1') },
  { name: 'sold-out product', heading: /Relógio de pulso/, open: ({ page }) => page.goto(`/detail/${SOLD_OUT}`) },
  { name: 'contact', heading: /Fale conosco/, open: ({ page }) => page.goto('/contact') },
  { name: 'not found', heading: /Não encontramos/, open: ({ page }) => page.goto('/no/such/page') },
  { name: 'empty cart', heading: /carrinho está vazio/, open: ({ page }) => page.goto('/cart') },
  { name: 'product added', heading: /Mochila Urbana/, open: addToCart },
  { name: 'cart', heading: /Seu carrinho/, open: ({ page }) => page.goto('/cart') },
  { name: 'checkout', heading: /Entrega e pagamento/, open: ({ page }) => page.goto('/checkout') },
  {
    name: 'checkout with mistakes',
    heading: /Confira os dados do pedido/,
    open: (window) => order(window, { zip: '99', card_number: '1234' }),
  },
  { name: 'confirmation', heading: /Pedido confirmado/, open: (window) => order(window) },
];

async function addToCart({ page, follow }: Window) {
  await page.goto('/detail/1');
  await follow(() => page.getByRole('button', { name: 'Adicionar ao carrinho', exact: true }).click());
}

async function order({ page, follow }: Window, wrong: Partial<typeof CUSTOMER> = {}) {
  await fillCheckout(page, wrong);
  await follow(() => page.getByRole('button', { name: /Finalizar pedido/ }).click());
}

test('every page is accessible, fits a phone and writes nothing to the console', async (t) => {
  const browser = await startBrowser(t);
  const shop = await startCluster(t, { workers: 2, database: 'embedded' });

  for (const javaScript of [true, false]) {
    const window = await openWindow(browser, shop.shopUrl, { javaScript });
    for (const { name, heading, open } of PAGES) {
      await t.test(`${name}, ${javaScript ? 'with' : 'without'} JavaScript`, async () => {
        await look(window, PHONE, 'light');
        await open(window);
        assert.match((await window.page.locator('h1, main h2').allTextContents()).join(' and '), heading);
        assert.equal(await overflow(window.page), 0, 'wider than a phone');
        if (javaScript) {
          assert.deepEqual(await accessibilityFaults(window.page), [], 'on a phone');
          await look(window, DESKTOP, 'dark');
          assert.equal(await overflow(window.page), 0, 'wider than the screen');
          assert.deepEqual(await accessibilityFaults(window.page), [], 'in dark colours');
        }
        assert.deepEqual(window.complaints, []);
      });
    }
  }
});

async function look({ page }: Window, width: number, colorScheme: 'light' | 'dark') {
  await page.setViewportSize({ width, height: 800 });
  await page.emulateMedia({ colorScheme });
}
