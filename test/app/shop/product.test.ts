import assert from 'node:assert/strict';
import { test } from 'node:test';
import { products } from '../../../seeds/catalogue.ts';
import { startShop } from '../../support/shop.ts';

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
