import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startCluster } from '../support/cluster.ts';
import { listFaults, switchFault } from '../support/faults.ts';
import { until } from '../support/wait.ts';
import { accessibilityFaults, DESKTOP, openWindow, overflow, PHONE, startBrowser } from './window.ts';

test('the live page switches rehearsed faults, and its charts mark them', async (t) => {
  const browser = await startBrowser(t);
  const shop = await startCluster(t, { workers: 1, env: { FAULTS: 'true' } });
  const live = await openWindow(browser, shop.opsUrl, { width: PHONE });
  const { page } = live;
  await page.goto('/');
  await page.locator('[data-connection="live"]').waitFor();
  const row = page.locator('[data-fault="slow_payment"]');

  await t.test('a button begins a fault and ends it, and says how long it lasts', async () => {
    await row.getByText('O provedor de pagamentos demora a responder.').waitFor();
    await row.getByRole('button', { name: 'Começar: slow_payment' }).focus();
    await page.keyboard.press('Enter');
    await row.getByText(/^termina em \d/).waitFor();
    assert.deepEqual(
      (await listFaults(shop)).filter(({ on }) => on).map(({ name }) => name),
      ['slow_payment'],
    );
    assert.equal(await overflow(page), 0);
    assert.deepEqual(await accessibilityFaults(page), []);
    await row.getByRole('button', { name: 'Encerrar: slow_payment' }).click();
    await row.getByRole('button', { name: 'Começar: slow_payment' }).waitFor();
    assert.ok((await listFaults(shop)).every(({ on }) => !on));
  });

  await t.test('a fault that is switched elsewhere is seen, in English too', async () => {
    await page.goto('/?lang=en');
    await page.locator('[data-connection="live"]').waitFor();
    await switchFault(shop, 'slow_payment', true);
    await row.getByText(/^ends in \d/).waitFor();
    await page.reload();
    await row.getByRole('button', { name: 'End: slow_payment' }).waitFor();
    await switchFault(shop, 'slow_payment', false);
    await row.getByRole('button', { name: 'Begin: slow_payment' }).waitFor();
  });

  await t.test('the charts have its begin and its end', async () => {
    const chart = page.getByRole('figure', { name: 'CPU by process, in cores' });
    await until('the table of the chart names both', async () => {
      await chart.getByRole('button').click();
      const text = await chart.locator('[data-table]').innerText();
      await chart.getByRole('button').click();
      return text.includes('the fault slow_payment begins') && text.includes('the fault slow_payment ends');
    });
    assert.deepEqual(live.complaints, []);
  });

  await t.test('without JavaScript the buttons are off', async () => {
    const plain = await openWindow(browser, shop.opsUrl, { javaScript: false, width: DESKTOP });
    await plain.page.goto('/');
    assert.ok(await plain.page.getByRole('button', { name: 'Começar: slow_payment' }).isDisabled());
  });
});
