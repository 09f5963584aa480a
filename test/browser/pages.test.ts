import assert from 'node:assert/strict';
import { test } from 'node:test';
import { products } from '../../seeds/catalogue.ts';
import { startCluster } from '../support/cluster.ts';
import {
  accessibilityFaults,
  fillCheckout,
  openWindow,
  overflow,
  PHONE,
  smallTargets,
  startBrowser,
  type TYPED,
  type Window,
} from './window.ts';

const SOLD_OUT = products.findIndex(({ stock }) => stock === 0) + 1;

const LOOKS = [
  [PHONE, 'light'],
  [PHONE, 'dark'],
  [768, 'dark'],
  [1440, 'light'],
] as const;

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
  { name: 'unreadable link', heading: /Não conseguimos entender/, open: ({ page }) => page.goto('/%zz') },
  { name: 'no page for a link', heading: /Isso não funciona/, open: ({ page }) => page.goto('/add_to_cart/1') },
  { name: "another site's form", heading: /Não podemos aceitar/, open: sendFromElsewhere },
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

async function sendFromElsewhere({ page, follow }: Window) {
  await page.goto('/contact');
  const action = new URL('/add_to_cart/1', page.url());
  await page.goto('about:blank');
  await page.setContent(`<form method="post" action="${action}"><button>Enviar</button></form>`);
  await follow(() => page.getByRole('button').click());
}

async function addToCart({ page, follow }: Window) {
  await page.goto('/detail/1');
  await follow(() => page.getByRole('button', { name: 'Adicionar ao carrinho', exact: true }).click());
}

async function order({ page, follow }: Window, wrong: Partial<typeof TYPED> = {}) {
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
        const { page } = window;
        assert.match((await page.locator('h1, main h2').allTextContents()).join(' and '), heading);
        assert.deepEqual(await smallTargets(page), [], 'too small for a finger');
        assert.equal(
          (await page.innerText('body')).match(/demonstração/gi)?.length,
          1,
          'one notice of the demonstration',
        );
        for (const [width, colorScheme] of javaScript ? LOOKS : []) {
          await look(window, width, colorScheme);
          assert.equal(await overflow(page), 0, `wider than ${width} pixels`);
          assert.deepEqual(await accessibilityFaults(page), [], `${width} pixels wide, ${colorScheme}`);
        }
        if (!javaScript) assert.equal(await overflow(page), 0, 'wider than a phone');
        assert.deepEqual(window.complaints, []);
      });
    }
  }
});

async function look({ page }: Window, width: number, colorScheme: 'light' | 'dark') {
  await page.setViewportSize({ width, height: 800 });
  await page.emulateMedia({ colorScheme });
}
