import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fillDisk } from '../../support/database.ts';
import { testProvider } from '../../support/payments.ts';
import { startShop } from '../../support/shop.ts';
import { atCheckout, CUSTOMER } from '../../support/visitor.ts';
import { until } from '../../support/wait.ts';

for (const table of ['payments', 'orders']) {
  test(`a full disk for ${table} shows in the log and the metrics, and soon no payment is asked for`, async (t) => {
    const payments = testProvider();
    const shop = await startShop(t, { payments });
    const forms = await Promise.all(Array.from({ length: 5 }, () => atCheckout(shop)));
    assert.equal((await shop.metrics()).of('shop_db_disk_full'), 0);
    const emptyDisk = await fillDisk(shop.knex, table);

    for (const { shopper, hidden } of forms) {
      const refused = await shopper.post('/checkout', { ...CUSTOMER, ...hidden });
      assert.equal(refused.status, 503);
      assert.ok(refused.headers.has('retry-after'));
    }

    assert.equal(payments.asked.length, table === 'orders' ? 1 : 0);
    const metrics = await shop.metrics();
    assert.equal(metrics.of('shop_db_disk_full'), 1);
    assert.equal(metrics.of('shop_errors_total', { type: 'database', route: '/checkout' }), forms.length);
    const told = shop
      .log()
      .split('\n')
      .filter((line) => line.includes('disk is full'));
    assert.equal(told.length, 1);
    assert.equal(JSON.parse(told[0] as string).level, 50);
    const forgotten = () =>
      until('the full disk is forgotten', async () => (await shop.metrics()).of('shop_db_disk_full') === 0);
    await forgotten();
    const { shopper, hidden } = forms[0] as (typeof forms)[number];
    assert.equal((await shopper.post('/checkout', { ...CUSTOMER, ...hidden })).status, 503);
    assert.equal(payments.asked.length, table === 'orders' ? 1 : 0, 'no payment is asked for to find out');

    await emptyDisk();
    await forgotten();
    for (const { shopper, hidden } of forms) {
      assert.equal((await shopper.post('/checkout', { ...CUSTOMER, ...hidden })).status, 302);
    }
    const states = await shop.knex('payments').pluck('state');
    assert.deepEqual(states.filter((state) => state === 'ordered').length, forms.length);
  });
}

test('pages are served even when the time of a visit cannot be written', async (t) => {
  const visits = { note: () => true, stop: async () => {} };
  const shop = await startShop(t, { visits });
  const { shopper } = await atCheckout(shop);
  await shop.knex.raw("update sessions set last_seen_at = now() - interval '1 minute'");
  const seen = () => shop.knex('sessions').whereRaw("last_seen_at > now() - interval '30 seconds'").first();
  const emptyDisk = await fillDisk(shop.knex, 'session_changes');
  const full = await shop.another();
  for (const path of ['/', '/cart', '/checkout']) assert.equal((await shopper.get(full.origin + path)).status, 200);
  await until('the visit was refused', async () => (await full.metrics()).of('shop_db_disk_full') === 1);
  assert.equal(await seen(), undefined);

  await emptyDisk();
  const empty = await shop.another();
  assert.equal((await shopper.get(`${empty.origin}/`)).status, 200);
  await until('the visit is noted', seen);
});
