import assert from 'node:assert/strict';
import { test } from 'node:test';
import { atCheckout } from '../support/checkout.ts';
import { testProvider } from '../support/provider.ts';
import { startShop, type TestShop } from '../support/shop.ts';
import { CUSTOMER } from '../support/visitor.ts';
import { until } from '../support/wait.ts';

/** Makes PostgreSQL refuse to add rows to a table as it does when its disk is full. */
async function fillDisk(shop: TestShop, table: string): Promise<() => Promise<unknown>> {
  await shop.knex.raw(`
    create or replace function no_space() returns trigger language plpgsql as $$ begin
      raise exception using errcode = 'disk_full', message = 'could not extend file: No space left on device';
    end $$;
    create trigger no_space before insert on ${table} for each row execute function no_space()`);
  return () => shop.knex.raw(`drop trigger no_space on ${table}`);
}

for (const table of ['payments', 'orders']) {
  test(`a disk that is full for ${table} shows in the log and the metrics, and soon no payment is asked for`, async (t) => {
    const payments = testProvider();
    const shop = await startShop(t, { payments });
    const forms = await Promise.all(Array.from({ length: 5 }, () => atCheckout(shop)));
    assert.equal((await shop.metrics()).of('shop_db_disk_full'), 0);
    const emptyDisk = await fillDisk(shop, table);

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
    assert.equal((await forms[0]?.shopper.get('/cart'))?.status, 200, 'who only looks is served');

    await emptyDisk();
    await until('it is forgotten', async () => (await shop.metrics()).of('shop_db_disk_full') === 0);
    for (const { shopper, hidden } of forms) {
      assert.equal((await shopper.post('/checkout', { ...CUSTOMER, ...hidden })).status, 302);
    }
    const states = await shop.knex('payments').pluck('state');
    assert.deepEqual(states.filter((state) => state === 'ordered').length, forms.length);
  });
}
