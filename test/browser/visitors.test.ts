import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startCluster } from '../support/cluster.ts';
import { fillCheckout, openWindow, startBrowser, type Window } from './window.ts';

test("two browsers at the same time never touch each other's cart or order", async (t) => {
  const shop = await startCluster(t, { workers: 2, database: 'embedded' });
  const [ana, bruno] = (await Promise.all([1, 2].map(async () => openWindow(await startBrowser(t), shop.shopUrl)))) as [
    Window,
    Window,
  ];
  const both = <T>(act: (window: Window, isAna: boolean) => Promise<T>) =>
    Promise.all([act(ana, true), act(bruno, false)]);

  await t.test('each browser sees the products that it has added', async () => {
    await both(async (window, isAna) => {
      for (const id of isAna ? [1, 2, 3] : [4, 1]) await add(window, id);
      await window.page.goto('/cart');
    });
    const [hers, his] = await both(itemIds);
    assert.deepEqual([hers.length, his.length], [3, 2]);
    assert.deepEqual(
      hers.filter((item) => his.includes(item)),
      [],
    );
  });

  await t.test('the items of the other browser do not exist', async () => {
    const [hers] = await both(itemIds);
    const { page, follow } = bruno;
    for (const action of ['update_quantity', 'remove_item']) {
      await page.goto('/cart');
      // Bruno's own form with Ana's item as its target.
      const post = `{
        const form = document.querySelector('form[action^="/${action}/"]');
        form.action = '/${action}/${hers[0]}';
        form.submit();
      }`;
      await follow(() => page.evaluate(post));
      assert.match(await page.locator('main').innerText(), /Esse item não está no seu carrinho/);
    }
    await ana.page.reload();
    assert.deepEqual(await itemIds(ana), hers);
    assert.match(await ana.page.locator('.badge').innerText(), /^3\b/);
  });

  await t.test('orders that are placed at the same moment stay apart', async () => {
    await both(async ({ page, follow }, isAna) => {
      await page.goto('/checkout');
      await fillCheckout(page, { first_name: isAna ? 'Ana' : 'Bruno' });
      await follow(() => page.getByRole('button', { name: /Finalizar pedido/ }).click());
    });
    const [hers, his] = await both(async ({ page }) => new URL(page.url()).pathname);
    assert.match(hers, /^\/order_confirmation\//);
    assert.match(his, /^\/order_confirmation\//);
    assert.notEqual(hers, his);
    const [herLines, hisLines] = await both(({ page }) => page.locator('.line').count());
    assert.deepEqual([herLines, hisLines], [3, 2]);

    const answer = await bruno.page.goto(hers);
    assert.equal(answer?.status(), 404);
    assert.doesNotMatch(await bruno.page.locator('body').innerText(), /Ana/);
  });

  assert.deepEqual([...ana.complaints, ...bruno.complaints], []);
});

async function add({ page, follow }: Window, id: number) {
  await page.goto(`/detail/${id}`);
  await follow(() => page.getByRole('button', { name: 'Adicionar ao carrinho', exact: true }).click());
}

/** The ids of the items of the cart that is shown. */
async function itemIds({ page }: Window): Promise<string[]> {
  return page.evaluate<string[]>(`[...document.querySelectorAll('form[action^="/remove_item/"]')].map(
    (form) => form.getAttribute('action').split('/').pop())`);
}
