import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startCluster } from '../support/cluster.ts';
import { until } from '../support/wait.ts';
import { DESKTOP, openWindow, PHONE, startBrowser } from './window.ts';

/** Whether the button to buy is wholly seen. */
const IS_SEEN = `(() => {
  const { top, bottom } = document.querySelector('.buy-bar button').getBoundingClientRect();
  return top >= 0 && bottom <= innerHeight;
})()`;

/** Whether nothing covers the element that has the focus. One at the edge of a row that scrolls may be seen in part. */
const FOCUS_IS_SEEN = `(() => {
  const { left, right, top, bottom } = document.activeElement.getBoundingClientRect();
  const x = (left + Math.min(right, innerWidth)) / 2;
  return document.activeElement.contains(document.elementFromPoint(x, (top + bottom) / 2));
})()`;

test('on a phone the button to buy stays in sight and covers nothing that has the focus', async (t) => {
  const browser = await startBrowser(t);
  const shop = await startCluster(t, { workers: 1, database: 'embedded' });
  for (const javaScript of [true, false]) {
    const { page, follow, complaints } = await openWindow(browser, shop.shopUrl, { width: PHONE, javaScript });
    const buttons = page.getByRole('button', { name: 'Adicionar ao carrinho', exact: true });
    await page.goto('/detail/1');
    const height = await page.evaluate<number>('document.documentElement.scrollHeight');
    const footer = await page.evaluate<number>("document.querySelector('footer').offsetHeight");
    for (let top = 0; top < height - footer - 800; top += 400) {
      await page.evaluate(`scrollTo(0, ${top})`);
      assert.ok(await page.evaluate<boolean>(IS_SEEN), `at ${top} of ${height}`);
    }
    assert.equal(await buttons.count(), 1);

    await page.evaluate('scrollTo(0, 0)');
    let stops = 0;
    for (let text = ''; !text.includes('/contact#dados'); stops++) {
      await page.keyboard.press('Tab');
      text = await page.evaluate<string>('document.activeElement.outerHTML');
      await until(`this is seen: ${text}`, () => page.evaluate<boolean>(FOCUS_IS_SEEN));
    }
    assert.ok(stops > 25, `${stops} elements got the focus`);

    await page.getByRole('spinbutton').fill('2');
    await follow(() => buttons.click());
    assert.match(await page.locator('.badge').innerText(), /^2\b/);

    await page.setViewportSize({ width: DESKTOP, height: 800 });
    assert.equal(await buttons.count(), 1, 'and a wide screen has one, beside the quantity');
    await follow(() => buttons.click());
    assert.match(await page.locator('.badge').innerText(), /^3\b/);
    assert.deepEqual(complaints, []);
  }
});
