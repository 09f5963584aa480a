import assert from 'node:assert/strict';
import { test } from 'node:test';
import { products } from '../../seeds/catalogue.ts';
import { startCluster } from '../support/cluster.ts';
import { until } from '../support/wait.ts';
import { fillCheckout, openWindow, PHONE, startBrowser, TYPED, type Window } from './window.ts';

/** The least height and width of a target, in CSS pixels. */
const TARGET = 44;

test('the checkout helps to fill in an address, and the confirmation can be copied and printed', async (t) => {
  const browser = await startBrowser(t);
  const shop = await startCluster(t, { workers: 1, database: 'embedded' });

  await t.test('the postal code fills in the city and the state while it is typed', async () => {
    const window = await openWindow(browser, shop.shopUrl);
    const { page } = window;
    await goToCheckout(window);
    const zip = page.getByLabel('CEP');
    const city = page.getByLabel('Cidade');
    const state = page.getByLabel('Estado');
    const place = async () => [await city.inputValue(), await state.inputValue()];
    const type = async (code: string) => {
      await zip.fill('');
      await zip.pressSequentially(code);
    };

    await type('30140-07');
    assert.deepEqual(await place(), ['', '']);
    await zip.press('1');
    assert.deepEqual(await place(), ['Belo Horizonte', 'MG']);
    assert.equal(await page.locator('[data-status=zip]').innerText(), 'Belo Horizonte – Minas Gerais');
    await type('13010000');
    assert.deepEqual(await place(), ['', 'SP'], 'no capital');
    await city.fill('Campinas');
    await type('20040020');
    assert.deepEqual(await place(), ['Campinas', 'RJ'], 'what the shopper wrote stays');
    await type('00100000');
    assert.deepEqual(await place(), ['Campinas', '']);
    await zip.press('Tab');
    assert.equal(await zip.inputValue(), '00100-000');
    assert.deepEqual(window.complaints, []);
  });

  await t.test('a house without a number needs none', async () => {
    for (const javaScript of [true, false]) {
      const window = await openWindow(browser, shop.shopUrl, { javaScript });
      const { page } = window;
      await goToCheckout(window);
      await fillCheckout(page, { number: '' });
      await page.getByLabel('Sem número').check();
      assert.equal(await page.getByLabel('Número', { exact: true }).isDisabled(), javaScript);
      await order(window);
      assert.match(await page.locator('address').innerText(), /Rua das Flores, S\/N/);
    }
  });

  await t.test('without JavaScript, the server fills in the place and asks for what lacks', async () => {
    const window = await openWindow(browser, shop.shopUrl, { javaScript: false });
    const { page } = window;
    await goToCheckout(window);
    await fillCheckout(page, { number: '' });
    await order(window);
    assert.match(await page.locator('.error-summary').innerText(), /Número: Digite o número/);
    assert.equal(await page.locator('[name=city]').inputValue(), 'São Paulo');
    assert.equal(await page.locator('[name=state]').inputValue(), 'SP');
    for (const name of ['number', 'card_number', 'expiry_date', 'cvv'] as const) {
      await page.locator(`[name=${name}]`).fill(TYPED[name]);
    }
    await order(window);
    assert.match(await page.locator('main').innerText(), /Pedido confirmado/);
  });

  await t.test('on a phone, the total is seen at once and every target is large enough', async () => {
    const window = await openWindow(browser, shop.shopUrl, { width: PHONE });
    const { page } = window;
    await goToCheckout(window);
    const total = await page.locator('.checkout__total').boundingBox();
    assert.ok(total && total.y + total.height < 300, JSON.stringify(total));
    const fields = 'form input:visible:not([type=checkbox]):not([type=radio]), select';
    const targets = page.locator(`header a, ${fields}, .check label, .method label, form button`);
    assert.ok((await targets.count()) > 15);
    for (const target of await targets.all()) {
      const box = await target.boundingBox();
      assert.ok(
        box && box.height >= TARGET && box.width >= TARGET,
        `${await target.getAttribute('id')} ${box?.height}`,
      );
    }
    assert.equal(await page.getByRole('searchbox').count(), 0);
    assert.equal(await page.getByRole('navigation').count(), 0);
    assert.equal(await page.getByText(/demonstração/i).count(), 1);
  });

  await t.test('an order of the whole catalogue in instalments is copied and printed on one page', async () => {
    const window = await openWindow(browser, shop.shopUrl);
    const { page } = window;
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    for (const [index, { stock }] of products.entries()) if (stock > 0) await add(window, index + 1);
    await page.goto('/checkout');
    await fillCheckout(page);
    const choice = page.getByLabel('Parcelas');
    assert.equal(await choice.locator('option').count(), 10);
    assert.equal(await choice.inputValue(), '1');
    await choice.selectOption('3');
    await order(window);

    const number = await page.locator('.confirmation__number').innerText();
    await page.getByRole('button', { name: 'Copiar número' }).click();
    await until(
      'it is announced',
      async () => (await page.locator('#copiado[role=status]').innerText()) === 'Copiado.',
    );
    assert.equal(await page.evaluate('navigator.clipboard.readText()'), number);

    await page.emulateMedia({ media: 'print' });
    const paper = await page.locator('body').innerText();
    for (const shown of ['Fake Shop', number, 'Cartão de crédito, 3x', 'Chega entre', 'demonstração']) {
      assert.ok(paper.includes(shown), shown);
    }
    assert.doesNotMatch(paper, /Copiar|Imprimir|Buscar|4242/);
    const pdf = await page.pdf({ format: 'A4' });
    assert.equal(pdf.toString('latin1').match(/\/Type\s*\/Page\b/g)?.length, 1);
    assert.deepEqual(window.complaints, []);
  });
});

async function add({ page, follow }: Window, id: number) {
  await page.goto(`/detail/${id}`);
  await follow(() => page.getByRole('button', { name: 'Adicionar ao carrinho', exact: true }).click());
}

async function goToCheckout(window: Window) {
  await add(window, 1);
  await window.page.goto('/checkout');
}

function order({ page, follow }: Window) {
  return follow(() => page.getByRole('button', { name: /Finalizar pedido/ }).click());
}
