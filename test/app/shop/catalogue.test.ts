import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Logger } from '../../../src/log.ts';
import { watchCatalogue } from '../../../src/shop/catalogue/watch.ts';
import { openPool, type TestDatabase, testDatabase } from '../../support/database.ts';
import { recordLog, silentLog } from '../../support/log.ts';
import { startProxy } from '../../support/proxy.ts';
import { startShop, type TestShop } from '../../support/shop.ts';
import { PATIENT } from '../../support/test-server.ts';
import { until, whenDone } from '../../support/wait.ts';
import { measuredWorker } from '../../support/worker-metrics.ts';

/** The promise to shoppers, and as much again for a machine that runs other tests. */
const SHOWN_MS = 2_000;

const shows = async (shop: TestShop, path: string, text: string) =>
  (await shop.visitor().get(path)).text.includes(text);

test('a change by any client is shown by every worker within a second, and adds the series of a product', async (t) => {
  const shop = await startShop(t);
  const workers = [shop, await shop.another()];
  const { knex } = shop;
  const allShow = async (path: string, text: string, wanted = true) => {
    const startedMs = performance.now();
    await until(`${path} shows ${text}: ${wanted}`, async () => {
      const shown = await Promise.all(workers.map((worker) => shows(worker, path, text)));
      return shown.every((one) => one === wanted);
    });
    const tookMs = performance.now() - startedMs;
    assert.ok(tookMs < SHOWN_MS, `${path} shows ${text} after ${tookMs} ms`);
  };

  await knex('products').where({ id: 1 }).update({ price_cents: 12_345 });
  await allShow('/detail/1', 'R$\u00a0123,45');
  await knex('products').where({ id: 1 }).update({ stock: 1 });
  await allShow('/shop', 'Última unidade');
  await knex('products').where({ id: 1 }).update({ stock: 0 });
  await allShow('/detail/1', 'Esgotado');

  await knex('categories').where({ id: 1 }).update({ name: 'Bolsas novas' });
  await allShow('/contact', 'Bolsas novas');
  const [category] = await knex('categories').insert({ slug: 'livros', name: 'Livros', position: 7 }).returning('id');
  await allShow('/contact', '/shop?category=livros');
  const { id: _, ...copy } = await knex('products').where({ id: 1 }).first();
  const book = {
    ...copy,
    slug: 'livro-de-teste',
    name: 'Livro de Teste',
    category_id: category.id,
    created_at: new Date(),
  };
  const [added] = await knex('products').insert(book).returning('id');
  await allShow('/', 'Livro de Teste');
  await allShow('/shop?category=livros', 'Livro de Teste');
  for (const worker of workers) {
    const metrics = await worker.metrics();
    for (const name of [
      'shop_cart_additions_total',
      'shop_cart_units_added_total',
      'shop_product_views_total',
      'shop_units_sold_total',
    ]) {
      assert.ok(metrics.has(name, { product: 'livro-de-teste' }), name);
      assert.equal(metrics.of(name, { product: 'livro-de-teste' }), 0);
    }
  }

  await knex('products').where({ id: added.id }).delete();
  await allShow('/', 'Livro de Teste', false);
  assert.equal((await shop.visitor().get(`/detail/${added.id}`)).status, 404);
  await knex('categories').where({ id: category.id }).delete();
  await allShow('/contact', 'Livros', false);
});

/** A watched catalogue whose connections lead through a proxy. */
async function watched(t: TestContext, database: TestDatabase) {
  const proxy = await startProxy(t, database.url);
  const { log, lines } = recordLog();
  const worker = measuredWorker();
  const watch = watchCatalogue(openPool(t, { url: proxy.url }), worker.metrics, log);
  whenDone(t, () => watch.stop());
  await watch.first;
  return {
    watch,
    proxy,
    lines,
    age: async () => (await worker.scrapeOnly('shop_catalogue_age_seconds')).of('shop_catalogue_age_seconds'),
  };
}

test('without its database the catalogue keeps its last state and tells how old it is, in the log once', async (t) => {
  const database = await testDatabase(t);
  const { watch, proxy, lines, age } = await watched(t, database);
  const before = watch.current();
  assert.ok((await age()) < 1);

  proxy.block();
  await until('the age grows', async () => (await age()) > 3);
  assert.equal(watch.current(), before);
  await database.knex('products').where({ id: 1 }).update({ price_cents: 12_345 });
  proxy.unblock();
  await until('the change is known', () => watch.current().product(1)?.priceCents === 12_345);
  await until('the age is small', async () => (await age()) < 1);

  const told = lines.filter((line) => line.includes('the catalogue '));
  assert.deepEqual(
    told.map((line) => JSON.parse(line).level),
    [40, 30],
    told.join(),
  );
});

test('a comparison that hangs is waited for, and no second one is sent', async (t) => {
  const { connection, knex } = await testDatabase(t);
  const worker = measuredWorker();
  const watch = watchCatalogue(openPool(t, connection, { deadlines: PATIENT }), worker.metrics, silentLog);
  whenDone(t, () => watch.stop());
  await watch.first;
  const lock = await knex.transaction();
  whenDone(t, () => lock.rollback());
  await lock.raw('lock table products in access exclusive mode');
  await until('the age grows', async () => {
    const name = 'shop_catalogue_age_seconds';
    return (await worker.scrapeOnly(name)).of(name) > 1.5;
  });
  const { rows } = await knex.raw(
    "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
  );
  assert.equal(rows.length, 1);
  await lock.rollback();
});

test('a catalogue that could never be read fails with the reason, and is there once the database is', async (t) => {
  const database = await testDatabase(t);
  const proxy = await startProxy(t, database.url);
  proxy.refuse();
  const { log, lines } = recordLog();
  const watch = watchCatalogue(openPool(t, { url: proxy.url }), measuredWorker().metrics, log);
  whenDone(t, () => watch.stop());
  await watch.first;
  assert.equal(watch.known(), null);
  assert.throws(() => watch.current());
  assert.match(lines.join(), /the catalogue could not be read/);
  proxy.accept();
  await until('it is read', () => watch.known() !== null);
  assert.equal(watch.current().products.length, 24);
});

test('a first reading that fails through no failure of the database is thrown, and a later one keeps the catalogue', async (t) => {
  const { connection, knex } = await testDatabase(t);
  const database = openPool(t, connection);
  const start = (log: Logger) => {
    const watch = watchCatalogue(database, measuredWorker().metrics, log);
    whenDone(t, () => watch.stop());
    return watch;
  };
  const { log, lines } = recordLog();
  const serving = start(log);
  await serving.first;
  const before = serving.current();

  await knex.raw('alter table categories rename to shelves');
  await assert.rejects(start(silentLog).first, /relation "categories" does not exist/);
  await until('it is told', () => lines.some((line) => line.includes('or its ranking could not be read')));
  assert.equal(serving.current(), before);
  await knex.raw('alter table shelves rename to categories');
  await knex('products').where({ id: 1 }).update({ price_cents: 12_345 });
  await until('it is compared again', () => serving.current().product(1)?.priceCents === 12_345);
});

test('a sale that changes nothing that a page shows leaves the catalogue the same', async (t) => {
  const { connection, knex } = await testDatabase(t);
  const database = openPool(t, connection);
  let comparisons = 0;
  database.on('query-response', () => {
    comparisons += 1;
  });
  const watch = watchCatalogue(database, measuredWorker().metrics, silentLog);
  whenDone(t, () => watch.stop());
  await watch.first;
  const before = watch.current();
  const comparedAgain = async () => {
    // One may have been under way.
    const enough = comparisons + 2;
    await until('it has been compared again', () => comparisons >= enough);
  };

  await knex('products').where({ id: 1 }).decrement('stock', 1);
  await knex('products')
    .where({ id: 2 })
    .update({ summary: knex.raw('summary') });
  await comparedAgain();
  assert.equal(watch.current(), before);
  await knex('products').where({ id: 1 }).update({ stock: 98 });
  await comparedAgain();
  assert.notEqual(watch.current(), before);
  assert.equal(watch.current().product(1)?.stock, 98);
});

test('a change that no version tells is shown after a minute', async (t) => {
  const { knex } = await testDatabase(t);
  const realNow = performance.now.bind(performance);
  let laterMs = 0;
  t.mock.method(performance, 'now', () => realNow() + laterMs);
  // Within a transaction, all of its writes are the same version.
  const transaction = await knex.transaction();
  whenDone(t, () => transaction.rollback());
  let comparisons = 0;
  transaction.on('query-response', () => {
    comparisons += 1;
  });
  const rename = (name: string) => transaction('products').where({ id: 1 }).update({ name });
  await rename('Primeiro nome');
  const watch = watchCatalogue(transaction, measuredWorker().metrics, silentLog);
  whenDone(t, () => watch.stop());
  await watch.first;
  const before = watch.current();

  await rename('Segundo nome');
  const enough = comparisons + 3;
  await until('it has been compared again', () => comparisons >= enough);
  assert.equal(watch.current(), before);
  laterMs = 60_000;
  await until('the change is known', () => watch.current().product(1)?.name === 'Segundo nome');
});

test("a price beyond JavaScript's safe integers leaves the last state, and the log says why", async (t) => {
  const database = await testDatabase(t);
  const { watch, lines } = await watched(t, database);
  const before = watch.current();
  await database.knex('products').where({ id: 1 }).update({ price_cents: '9007199254740993' });
  await until('the log tells it', () => lines.some((line) => line.includes('too large for a number')));
  assert.equal(watch.current(), before);
  await database.knex('products').where({ id: 1 }).update({ price_cents: 12_345 });
  await until('the next price is known', () => watch.current().product(1)?.priceCents === 12_345);
});
