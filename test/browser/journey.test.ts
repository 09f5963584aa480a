import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Browser } from 'playwright-core';
import { type RunningCluster, startCluster } from '../support/cluster.ts';
import { BACKPACK, CUSTOMER, DECLINED_CARD, SHIPPING_CENTS } from '../support/visitor.ts';
import { until } from '../support/wait.ts';
import { type DocumentSeen, fillCheckout, openWindow, startBrowser, TYPED } from './window.ts';

test('a shopper buys in a browser, and each of the seven metrics counts it', async (t) => {
  const browser = await startBrowser(t);
  const shop = await startCluster(t, { workers: 2, database: 'embedded' });
  await t.test('a journey with JavaScript', (t) => journey(t, browser, shop, true));
  await t.test('a journey without JavaScript', (t) => journey(t, browser, shop, false));
});

async function journey(t: TestContext, browser: Browser, shop: RunningCluster, javaScript: boolean) {
  const { page, follow, documents, complaints } = await openWindow(browser, shop.shopUrl, { javaScript });
  const before = await shop.metrics();

  /** Waits for the value: gauges are up to two seconds old. */
  const cartSessionsBecome = (count: number) =>
    until(`${count} cart sessions`, async () => (await shop.metrics()).of('shop_active_cart_sessions') === count);
  const cartCount = () => page.locator('.badge').innerText();

  await t.test('the shopper finds a product from the home page', async () => {
    await page.goto('/');
    await follow(() => page.getByRole('link', { name: 'Ver todos os produtos' }).click());
    assert.equal(await page.locator('.card').count(), 12);
    await page.getByRole('searchbox').fill('mochila');
    if (!javaScript) await follow(() => page.getByRole('searchbox').press('Enter'));
    const found = async () => (await page.locator('.card h2').allInnerTexts()).join();
    await until('the backpack is found', async () => (await found()) === BACKPACK.name);
    await follow(() => page.getByRole('link', { name: BACKPACK.name }).click());
    assert.equal(await page.locator('h1').innerText(), BACKPACK.name);
  });

  await t.test('the shopper puts two units of it and another product into the cart', async () => {
    if (javaScript) await page.getByRole('button', { name: 'Aumentar quantidade' }).click();
    else await page.getByRole('spinbutton').fill('2');
    await follow(() => page.getByRole('button', { name: 'Adicionar ao carrinho', exact: true }).click());
    assert.match(await page.locator('.flash').innerText(), /adicionado/);
    assert.match(await cartCount(), /^2\b/);

    await page.goto('/shop?category=audio');
    await page.getByRole('button', { name: 'Adicionar' }).first().click();
    await until('the list shows the count', async () => (await cartCount()).startsWith('3'));
    assert.equal(new URL(page.url()).pathname, '/shop');
    await cartSessionsBecome(1);
  });

  await t.test('the shopper changes the quantity and removes the other product', async () => {
    await follow(() => page.getByRole('link', { name: 'Carrinho' }).first().click());
    const backpack = page.locator('.cart__item', { hasText: BACKPACK.name });
    if (javaScript) await backpack.getByRole('button', { name: 'Aumentar' }).click();
    else {
      await backpack.getByRole('spinbutton').fill('3');
      await backpack.getByRole('button', { name: 'Atualizar' }).click();
    }
    await until('the cart has 4 units', async () => (await cartCount()).startsWith('4'));
    assert.equal(await backpack.getByRole('spinbutton').inputValue(), '3');
    const other = page.locator('.cart__item').filter({ hasNotText: BACKPACK.name });
    await other.getByRole('button', { name: 'Remover' }).click();
    await until('one item is left', async () => (await page.locator('.cart__item').count()) === 1);
    assert.match(await page.locator('.totals__sum').innerText(), reais(3 * BACKPACK.cents + SHIPPING_CENTS));
  });

  await t.test('a declined card keeps the cart and all that was typed except the card', async () => {
    await follow(() => page.getByRole('link', { name: 'Continuar para o pagamento' }).click());
    await fillCheckout(page, { card_number: DECLINED_CARD });
    await follow(() => page.getByRole('button', { name: /Finalizar pedido/ }).click());
    assert.match(await page.getByRole('alert').innerText(), /O pagamento foi recusado/);
    for (const [name, typed] of Object.entries({ ...TYPED, city: 'São Paulo', state: 'SP' })) {
      const kept = await page.locator(`[name=${name}]`).inputValue();
      assert.equal(kept, ['card_number', 'expiry_date', 'cvv'].includes(name) ? '' : typed, name);
    }
    assert.match(await cartCount(), /^3\b/);
  });

  await t.test('another card is approved, and the cart is empty', async () => {
    await page.getByLabel('Número do cartão').fill(CUSTOMER.card_number);
    await page.getByLabel('Validade').fill('1239');
    await page.getByLabel('Código de segurança').fill(CUSTOMER.cvv);
    if (javaScript) {
      await page.getByLabel('Código de segurança').press('Tab');
      assert.equal(await page.getByLabel('Número do cartão').inputValue(), '4242 4242 4242 4242');
      assert.equal(await page.getByLabel('Validade').inputValue(), '12/39');
    }
    await follow(() => page.getByRole('button', { name: /Finalizar pedido/ }).click());
    assert.match(new URL(page.url()).pathname, /^\/order_confirmation\/FS-/);
    assert.match(await page.locator('main').innerText(), /Pedido confirmado/);
    assert.match(await page.locator('.totals__sum').innerText(), reais(3 * BACKPACK.cents + SHIPPING_CENTS));
    assert.equal(await page.locator('.badge').count(), 0);
    await follow(() => page.getByRole('link', { name: 'Carrinho' }).first().click());
    assert.match(await page.locator('main').innerText(), /carrinho está vazio/);
    await cartSessionsBecome(0);
  });

  await t.test('the metrics count each document that the browser received', async () => {
    const after = await shop.metrics();
    const change = after.since(before);
    for (const [request, count] of tally(documents)) {
      const [method, route, status_code] = request.split(' ') as [string, string, string];
      const labels = { method, route, status_code };
      assert.equal(change.of('http_request_duration_seconds_count', labels), count, request);
    }
    assert.equal(change.of('shop_cart_additions_total', { product: BACKPACK.slug }), 1);
    assert.equal(change.of('shop_cart_additions_total'), 2);
    assert.equal(change.of('shop_cart_units_added_total', { product: BACKPACK.slug }), 2);
    assert.equal(change.of('shop_errors_total', { type: 'payment_declined', route: '/checkout' }), 1);
    assert.equal(change.of('shop_errors_total'), 1);
    assert.equal(change.of('shop_db_operation_duration_seconds_count', { operation: 'insert', table: 'orders' }), 1);
    assert.ok(after.of('shop_db_connections') >= 1, 'the pools hold a connection');
    assert.equal(change.of('shop_units_sold_total', { product: BACKPACK.slug }), 3);
    await until('the CPU gauge of a worker moves', async () => {
      const moved = (await shop.metrics()).since(before);
      return ['1', '2'].some((worker) => moved.of('shop_cpu_usage_ratio', { worker }) !== 0);
    });
  });

  assert.deepEqual(complaints, []);
}

/** Matches an amount of money as the shop writes it, with any kind of space. */
function reais(cents: number): RegExp {
  const [units = '', rest = ''] = (cents / 100).toFixed(2).split('.');
  return new RegExp(`R\\$\\s${units.replace(/\B(?=(\d{3})+$)/g, '\\.')},${rest}`);
}

/** The number of documents by `method route status`. */
function tally(documents: readonly DocumentSeen[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { method, path, status } of documents) {
    const request = `${method} ${routeOf(path)} ${status}`;
    counts.set(request, (counts.get(request) ?? 0) + 1);
  }
  return counts;
}

function routeOf(path: string): string {
  return path
    .replace(/^\/(detail|add_to_cart)\/\d+$/, '/$1/:id')
    .replace(/^\/(update_quantity|remove_item)\/\d+$/, '/$1/:item')
    .replace(/^\/order_confirmation\/[^/]+$/, '/order_confirmation/:number');
}
