import assert from 'node:assert/strict';
import { test } from 'node:test';
import { instrumentKnex } from '../../../src/instrument/knex.ts';
import { SHOP_OPERATIONS } from '../../../src/instrument/worker-metrics.ts';
import { createRateLimiter } from '../../../src/web/index.ts';
import { openPool, testDatabase } from '../../support/database.ts';
import { silentLog } from '../../support/log.ts';
import { startShop } from '../../support/shop.ts';
import { CUSTOMER, DECLINED_CARD } from '../../support/visitor.ts';
import { until, whenDone } from '../../support/wait.ts';
import { measuredWorker } from '../../support/worker-metrics.ts';

test('the list of database operations holds exactly the operations of the shop', async (t) => {
  const { connection, knex } = await testDatabase(t);
  const database = openPool(t, connection, { poolMax: 3 });
  const worker = measuredWorker();
  whenDone(t, instrumentKnex(database, worker.metrics));
  const rateLimiter = createRateLimiter({ database, posts: 1000, log: silentLog });
  let isInDoubt = false;
  const diskSpace = { isLacking: () => false, isInDoubt: () => isInDoubt, stop() {} };
  const shop = await startShop(t, { database, metrics: worker.metrics, rateLimiter, diskSpace });
  const shopper = shop.visitor();
  const firstItem = async (): Promise<number> => (await knex('cart_items').first('id')).id;

  for (const page of ['/', '/shop?q=mochila', '/contact', '/readyz']) await shopper.get(page);
  await shopper.get('/detail/1');
  await shopper.post('/add_to_cart/1', { quantity: 1 });
  await shopper.post(`/update_quantity/${await firstItem()}`, { quantity: 2 });
  await shopper.post(`/remove_item/${await firstItem()}`, {});
  await shopper.post('/add_to_cart/2', { quantity: 1 });
  await shopper.get('/cart');
  await shopper.get('/checkout');
  await shopper.post('/checkout', { ...CUSTOMER, card_number: DECLINED_CARD });
  const { location } = await shopper.post('/checkout', CUSTOMER);
  await shopper.get(location ?? '');
  await shopper.post('/checkout', CUSTOMER);
  await shopper.post('/add_to_cart/2', { quantity: 1 });
  // An order that waits for a lock.
  const lock = await knex.transaction();
  await lock('products').where({ id: 2 }).forUpdate().first();
  const waiting = shopper.post('/checkout', CUSTOMER);
  await until('it waits', () => knex('payments').where({ state: 'approved' }).first());
  await lock.rollback();
  await waiting;
  await shopper.post('/add_to_cart/2', { quantity: 1 });
  // An order that is rehearsed.
  isInDoubt = true;
  await shopper.post('/checkout', CUSTOMER);
  isInDoubt = false;
  await shopper.post('/add_to_cart/2', { quantity: 1 });
  // A Pix that expires.
  const { location: pix } = await shopper.post('/checkout', { ...CUSTOMER, payment_method: 'pix' });
  await shopper.post(`${pix}/simulation`, { outcome: 'expired' });
  await shopper.get(`${pix}`);
  // An order that fails half-way.
  await knex.schema.renameTable('order_items', 'order_items_gone');
  await shopper.post('/checkout', CUSTOMER);

  const seen = await until('the visit is noted', async () => {
    const { samples } = await worker.scrape();
    const run = samples
      .filter(({ name, value }) => name === 'shop_db_operation_duration_seconds_count' && value > 0)
      .map(({ labels }) => `${labels.operation} ${labels.table}`);
    return run.includes('insert sessions') && run;
  });
  const listed = SHOP_OPERATIONS.map(({ operation, table }) => `${operation} ${table}`);
  assert.deepEqual(seen.sort(), listed.sort());
});
