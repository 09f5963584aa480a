import assert from 'node:assert/strict';
import { test } from 'node:test';
import { products } from '../../../seeds/catalogue.ts';
import { seed } from '../../../seeds/index.ts';
import { startShop } from '../../support/shop.ts';
import { until } from '../../support/wait.ts';

test('a product page shows four other products in stock, its own category first', async (t) => {
  const shop = await startShop(t);
  const plenty = 1;
  const soldOut = products.findIndex(({ stock }) => stock === 0) + 1;
  for (const id of [plenty, soldOut]) {
    const { text } = await shop.visitor().get(`/detail/${id}`);
    const related = text.slice(text.indexOf('id="relacionados"'));
    const ids = [...related.matchAll(/class="card__link" href="\/detail\/(\d+)"/g)].map(([, found]) => Number(found));

    assert.equal(new Set(ids).size, 4, related);
    assert.ok(!ids.includes(id) && !ids.includes(soldOut), ids.join());
    const own = products.filter(({ category, stock }) => category === products[id - 1]?.category && stock > 0);
    const expected = own.map((product) => products.indexOf(product) + 1).filter((other) => other !== id);
    assert.deepEqual(ids.slice(0, expected.length), expected);
  }
});

const factsOf = (html: string) =>
  Array.from(
    html.matchAll(/<th scope="row">([^<]*)<\/th><td>([^<]*)<\/td>/g),
    ([, name, value]) => `${name}: ${value}`,
  );

test('a product page shows the facts of the product, and no table where it has none', async (t) => {
  const shop = await startShop(t);
  const visitor = shop.visitor();
  for (const [index, { facts }] of products.entries()) {
    const { text } = await visitor.get(`/detail/${index + 1}`);
    assert.deepEqual(factsOf(text), facts.replaceAll('"', '&quot;').split('\n'));
  }
  const product = shop.knex('products').where({ id: 1 });
  const shows = (facts: string[]) =>
    until(facts.join() || 'no facts', async () => {
      const { text } = await visitor.get('/detail/1');
      return text.includes('id="ficha"') === facts.length > 0 && factsOf(text).join() === facts.join();
    });
  await product.clone().update({ facts: 'no colon\nPeso: 1 kg\n: no name\nMedidas:10:20\n\nVazio:\n' });
  await shows(['Peso: 1 kg', 'Medidas: 10:20']);
  await product.clone().update({ facts: '' });
  await shows([]);
  await seed(shop.knex);
  await product.clone().update({ name: 'Mochila' });
  await until('the change is shown', async () => (await visitor.get('/detail/1')).text.includes('<h1>Mochila</h1>'));
  await shows([]);
});

test('products of a release without facts get them once', async (t) => {
  const { knex } = await startShop(t);
  await knex('products').update({ facts: null });
  await knex('products').where({ id: 2 }).update({ facts: 'Peso: 1 kg', price_cents: 1 });
  await seed(knex);
  const rows = await knex('products').orderBy('id').limit(2).select<{ facts: string; price_cents: number }[]>();
  assert.deepEqual(
    rows.map(({ facts }) => facts),
    [products[0]?.facts, 'Peso: 1 kg'],
  );
  assert.equal(rows[1]?.price_cents, 1);
});

test('products in stock show their price in instalments, where it is enough for two', async (t) => {
  const shop = await startShop(t);
  const visitor = shop.visitor();
  await shop.knex('products').where({ id: 1 }).update({ price_cents: 24_990 });
  await shop.knex('products').where({ id: 2 }).update({ price_cents: 1_999 });
  await shop.knex('products').where({ id: 3 }).update({ stock: 0 });
  const offersOf = async (path: string) => {
    const { text } = await visitor.get(path);
    return Array.from(text.matchAll(/<p class="installments">([^<]*)</g), ([, offer]) => offer);
  };
  await until('the changes are shown', async () => (await offersOf('/shop')).length === 10);
  assert.equal((await offersOf('/shop'))[0], '10x de R$\u00a024,99 sem juros');
  assert.equal((await offersOf('/detail/1'))[0], '10x de R$\u00a024,99 sem juros');
  for (const id of [2, 3]) {
    const { text } = await visitor.get(`/detail/${id}`);
    assert.doesNotMatch(text.slice(0, text.indexOf('id="relacionados"')), /sem juros/);
  }
});
