import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { watchCatalogue } from '../../../src/shop/catalogue/watch.ts';
import { openPool } from '../../support/database.ts';
import { silentLog } from '../../support/log.ts';
import { PATIENCE, startShop, type TestShop } from '../../support/shop.ts';
import { CUSTOMER, type Page } from '../../support/visitor.ts';
import { until, whenDone } from '../../support/wait.ts';
import { measuredWorker } from '../../support/worker-metrics.ts';

/** Lets time pass: the ranking is a minute old at most. */
function clock(t: TestContext): { passMinutes(minutes: number): void } {
  const realNow = performance.now.bind(performance);
  let laterMs = 0;
  t.mock.method(performance, 'now', () => realNow() + laterMs);
  return {
    passMinutes(minutes) {
      laterMs += minutes * 60_000;
    },
  };
}

/** One order of some units of each product, by id. */
async function sell(shop: TestShop, units: Record<number, number>): Promise<void> {
  const shopper = shop.visitor();
  for (const [id, quantity] of Object.entries(units)) await shopper.post(`/add_to_cart/${id}`, { quantity });
  const ordered = await shopper.post('/checkout', CUSTOMER);
  assert.match(ordered.location ?? '', /^\/order_confirmation\//, ordered.text);
}

/** Ids of the cards in a part of a page. */
const cards = (html: string) => [...html.matchAll(/id="produto-(\d+)"/g)].map(([, id]) => Number(id));
const section = ({ text }: Page, id: string) =>
  cards(new RegExp(`<section[^>]*aria-labelledby="${id}".*?</section>`, 's').exec(text)?.[0] ?? '');

test('the list and home show what was sold most, from the orders', async (t) => {
  const { passMinutes } = clock(t);
  const shop = await startShop(t, PATIENCE);
  const shopper = shop.visitor();
  const list = async () => {
    const pages = await Promise.all([1, 2].map((page) => shopper.get(`/shop?sort=best_sellers&page=${page}`)));
    return pages.flatMap(({ text }) => cards(text));
  };
  const usual: number[] = await shop.knex('products').orderByRaw('featured desc, id').pluck('id');
  assert.deepEqual(await list(), usual, 'nothing was sold');
  assert.doesNotMatch((await shopper.get('/')).text, /id="mais-vendidos"/);

  await sell(shop, { 9: 3, 1: 1 });
  await sell(shop, { 7: 5, 12: 1, 15: 1 });
  await sell(shop, { 9: 4 });
  await shop.visitor().post('/add_to_cart/20', { quantity: 50 });
  passMinutes(1);
  const home = await until('home shows the best sellers', async () => {
    const page = await shopper.get('/');
    return page.text.includes('id="mais-vendidos"') && page;
  });

  const sold = [9, 7, 1, 12, 15];
  assert.deepEqual(
    await list(),
    [...sold, ...usual.filter((id) => !sold.includes(id))],
    'equal sales in the usual order',
  );
  assert.deepEqual(section(home, 'mais-vendidos'), [9, 7, 1, 12]);
  assert.deepEqual(section(home, 'destaques'), [2, 3, 4, 5, 6, 8]);
  assert.equal(section(home, 'novidades').length, 6);
  const all = cards(home.text);
  assert.equal(new Set(all).size, all.length, 'no product is twice on the page');

  await shop.knex('products').where({ id: 9 }).update({ stock: 0 });
  await until('home leaves out what is sold out', async () => {
    const shown = section(await shopper.get('/'), 'mais-vendidos');
    return String(shown) === '7,1,12,15';
  });
});

test('a sale changes no page unless it changes a place, and a page is a minute behind', async (t) => {
  const { passMinutes } = clock(t);
  const shop = await startShop(t, PATIENCE);
  const database = openPool(t, { url: shop.url });
  let [rankings, comparisons] = [0, 0];
  database.on('query-response', (_response, { sql }: { sql: string }) => {
    if (/^\s*with latest/.test(sql)) rankings += 1;
    else comparisons += 1;
  });
  const watch = watchCatalogue(database, measuredWorker().metrics, silentLog);
  whenDone(t, () => watch.stop());
  await watch.first;
  const placeOf = (id: number) => watch.current().product(id)?.salesPlace;
  const rankedAgain = async () => {
    const enough = rankings + 1;
    passMinutes(1);
    await until('it is ranked again', () => rankings >= enough);
  };

  await sell(shop, { 1: 2, 2: 1 });
  await rankedAgain();
  await until('the sales are known', () => placeOf(1) === 1);
  assert.equal(placeOf(2), 2);
  assert.equal(placeOf(3), null);
  const before = watch.current();

  await sell(shop, { 1: 1 });
  const enough = comparisons + 2;
  await rankedAgain();
  await until('it has been compared again', () => comparisons >= enough);
  assert.equal(watch.current(), before, 'no place has changed');

  await sell(shop, { 2: 5 });
  const known = rankings;
  const later = comparisons + 3;
  await until('it has been compared again', () => comparisons >= later);
  assert.equal(watch.current(), before, 'the minute is not over');
  assert.equal(rankings, known);
  await rankedAgain();
  await until('the places have changed', () => placeOf(2) === 1 && placeOf(1) === 2);
});
