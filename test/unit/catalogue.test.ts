import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { categories, products } from '../../seeds/catalogue.ts';
import { projectRoot } from '../../src/paths.ts';

const LARGEST_PICTURE_BYTES = 8_000;

test('24 products are in 6 categories, four in each', () => {
  assert.equal(categories.length, 6);
  assert.equal(products.length, 24);
  for (const { slug } of categories) {
    assert.equal(products.filter((product) => product.category === slug).length, 4, slug);
  }
});

test('no two products or categories share a slug, a name or a picture', () => {
  for (const values of [
    categories.map((category) => category.slug),
    categories.map((category) => category.name),
    products.map((product) => product.slug),
    products.map((product) => product.name),
    products.map((product) => product.picture),
  ]) {
    assert.equal(new Set(values).size, values.length, values.join(', '));
  }
});

test('the home page has six featured products in stock, one of each category', () => {
  const featured = products.filter((product) => product.featured);
  assert.equal(new Set(featured.map((product) => product.category)).size, 6);
  assert.equal(featured.length, 6);
  for (const product of featured) assert.ok(product.stock > 0, product.slug);
});

test('the catalogue has products in plenty, scarce and sold out', () => {
  assert.deepEqual(
    products
      .map((product) => product.stock)
      .filter((stock) => stock < 15)
      .sort((a, b) => a - b),
    [0, 3, 6],
  );
});

for (const product of products) {
  describe(product.slug, () => {
    test('the product can be sold', () => {
      assert.match(product.slug, /^[a-z0-9]+(-[a-z0-9]+)*$/);
      assert.ok(Number.isSafeInteger(product.priceCents) && product.priceCents > 0);
      assert.ok(Number.isSafeInteger(product.stock) && product.stock >= 0);
    });

    test('the product is described in one sentence and in two or three paragraphs', () => {
      for (const text of [product.name, product.summary, product.description]) {
        assert.ok(text.length > 0);
        assert.equal(text, text.trim());
        assert.doesNotMatch(text, /[<>{}]| {2}/);
      }
      assert.match(product.summary, /^[^.]+\.$/);
      const paragraphs = product.description.split('\n\n');
      assert.ok(paragraphs.length === 2 || paragraphs.length === 3);
      for (const paragraph of paragraphs) assert.match(paragraph, /^\p{Lu}[^\n]+\.$/u);
    });

    test('the product has a small picture without references to other files', () => {
      assert.equal(product.picture, `products/${product.slug}.svg`);
      const file = join(projectRoot, 'public', product.picture);
      const picture = readFileSync(file, 'utf8');

      assert.ok(statSync(file).size <= LARGEST_PICTURE_BYTES);
      assertBalanced(picture);
      assert.match(picture, /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" viewBox="0 0 800 800"/);
      assert.match(picture, /<title>[^<]+<\/title>/);
      assert.doesNotMatch(picture, /<(script|style|image|text|foreignObject|a)\b|\son\w+=|<!|<\?/i);
      assertOwnReferences(picture);
    });
  });
}

/** Asserts that every element is closed in order and that only text is between elements. */
function assertBalanced(xml: string): void {
  const open: string[] = [];
  const rest = xml.replace(
    /<(\/?)([a-zA-Z]+)((?:\s+[\w:-]+="[^"<&]*")*)\s*(\/?)>/g,
    (_, end, name, _attributes, empty) => {
      if (end) assert.equal(open.pop(), name);
      else if (!empty) open.push(name);
      return '';
    },
  );
  assert.deepEqual(open, []);
  assert.doesNotMatch(rest, /[<>&]/);
}

/** Asserts that ids are unique and that every reference is to one of them, so that nothing is loaded from elsewhere. */
function assertOwnReferences(svg: string): void {
  const ids = [...svg.matchAll(/\sid="([^"]+)"/g)].map((match) => match[1]);
  assert.equal(new Set(ids).size, ids.length);
  for (const [, target] of svg.matchAll(/href="([^"]*)"/g)) {
    assert.ok(ids.includes(target?.replace(/^#/, '')) && target?.startsWith('#'), `href="${target}"`);
  }
  for (const [, target] of svg.matchAll(/url\(([^)]*)\)/g)) {
    assert.ok(ids.includes(target?.replace(/^#/, '')) && target?.startsWith('#'), `url(${target})`);
  }
}
