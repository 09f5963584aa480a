import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { prepareDatabase } from '../../../src/db/index.ts';
import { openPool, testDatabase } from '../../support/database.ts';
import { silentLog } from '../../support/log.ts';
import { startShop } from '../../support/shop.ts';
import { until, whenDone } from '../../support/wait.ts';

/** The ids of the listed products, in order. */
function listed(html: string): number[] {
  const main = html.slice(html.indexOf('<main'));
  return [...new Set([...main.matchAll(/href="\/detail\/(\d+)"/g)].map(([, id]) => Number(id)))];
}

test('products can be searched, filtered, sorted and paged', async (t) => {
  const shop = await startShop(t);
  const shopper = shop.visitor();
  const all: { id: number; price_cents: number; name: string }[] = await shop.knex('products').orderBy('id');

  for (const [sort, order] of [
    ['', 'featured desc, id'],
    ['featured', 'featured desc, id'],
    ['price_asc', 'price_cents, id'],
    ['price_desc', 'price_cents desc, id desc'],
    ['newest', 'created_at desc, id desc'],
  ] as const) {
    const pages = await Promise.all([1, 2].map((page) => shopper.get(`/shop?sort=${sort}&page=${page}`)));
    assert.deepEqual(
      pages.flatMap(({ text }) => listed(text)),
      await shop.knex('products').orderByRaw(order).pluck('id'),
      sort,
    );
  }

  const category = await shop.knex('categories').orderBy('position').first();
  const inCategory = await shop.knex('products').where('category_id', category.id).pluck('id');
  assert.deepEqual(
    listed((await shopper.get(`/shop?category=${category.slug}`)).text).sort((a, b) => a - b),
    inCategory,
  );

  const bag = all.find(({ name }) => name.startsWith('Mochila Urbana'));
  assert.ok(listed((await shopper.get('/shop?q=MÔCHILA+urbana')).text).includes(bag?.id ?? 0));
  const nothing = await shopper.get('/shop?q=nada+disso');
  assert.equal(nothing.status, 200);
  assert.deepEqual(listed(nothing.text), []);
});

test('singular and plural find the same products', async (t) => {
  const shop = await startShop(t);
  const found = async (q: string) => {
    const { text } = await shop.visitor().get(`/shop?q=${encodeURIComponent(q)}`);
    return [...text.matchAll(/class="card__link"[^>]*>([^<]+)</g)].map(([, name]) => name);
  };
  const same: [singular: string, plural: string, first: RegExp][] = [
    ['relógio', 'relógios', /^Relógio de/],
    ['fone', 'fones', /^Fone de ouvido/],
    ['garrafa térmica', 'garrafas térmicas', /^Garrafa térmica/],
    ['caneca', 'CANECAS', /^Par de canecas/],
    ['fone intra-auricular', 'fones intra-auriculares', /^Fones intra-auriculares/],
    ['bicicleta dobrável', 'bicicletas dobraveis', /^Bicicleta dobrável/],
    ['caixa portátil', 'caixas portáteis', /^Caixa de som portátil/],
    ['frigideira', 'frigideiras', /^Frigideira/],
  ];
  for (const [singular, plural, first] of same) {
    const names = await found(singular);
    assert.match(names[0] ?? '', first, singular);
    assert.deepEqual(await found(plural), names, plural);
  }
  assert.equal((await found('relógios')).length, 2);
});

/** A shop on a database whose locale knows only ASCII letters. */
async function shopInLocaleC(t: TestContext) {
  const { url, knex: maker } = await testDatabase(t);
  const other = new URL(url);
  other.pathname += '_c';
  const name = other.pathname.slice(1);
  await maker.raw(`create database ?? template template0 encoding 'UTF8' locale_provider libc locale 'C'`, [name]);
  whenDone(t, () => maker.raw('drop database ?? with (force)', [name]));
  await prepareDatabase({ url: other.href }, { log: silentLog });
  const database = openPool(t, { url: other.href }, { poolMax: 5 });
  return { shop: await (await startShop(t)).another({ database }), database };
}

test('accents and capitals make no difference in any locale of the database', async (t) => {
  const inC = await shopInLocaleC(t);
  const usual = await startShop(t);
  const names = ['Óculos de Zol', 'ÓCULOS DE ZOL', 'O\u0301culos de Zol', 'Øculos LÆSØ de Zol', 'Çãõ ÇÃÕ Ñandú ŁÓDŹ'];
  for (const { shop, knex } of [
    { shop: inC.shop, knex: inC.database },
    { shop: usual, knex: usual.knex },
  ]) {
    const rename = async (name: string) => {
      await knex('products').where({ id: 1 }).update({ name });
      await until('the new name is shown', async () => (await shop.visitor().get('/detail/1')).text.includes(name));
    };
    for (const name of names) {
      await rename(name);
      for (const q of [name, name.toLowerCase(), name.toUpperCase(), name.normalize('NFD'), name.normalize('NFC')]) {
        const page = await shop.visitor().get(`/shop?q=${encodeURIComponent(q)}`);
        assert.deepEqual(listed(page.text), [1], `${q} finds ${name}`);
      }
    }
    await rename('Óculos de Zol');
    assert.deepEqual(listed((await shop.visitor().get('/shop?q=oculos+zol')).text), [1]);
    await rename('Ábaco');
    assert.equal(listed((await shop.visitor().get('/shop?sort=name')).text)[0], 1, 'Á is sorted with A');
  }
});

test('the search treats patterns and operators as plain text', async (t) => {
  const shop = await startShop(t);
  for (const q of ['%', '_', '\\', "' or 1=1 --", '<script>alert(1)</script>', '100%', '😀', 'a'.repeat(100)]) {
    const page = await shop.visitor().get(`/shop?q=${encodeURIComponent(q)}`);
    assert.equal(page.status, 200, q);
    assert.deepEqual(listed(page.text), [], q);
    assert.ok(!page.text.includes('<script>alert'), q);
  }
});

test('a search with parameters that no form sends is refused', async (t) => {
  const shop = await startShop(t);
  const wrong: [string, number][] = [
    ['page=0', 422],
    ['page=-1', 422],
    ['page=abc', 422],
    ['page=1e9', 422],
    ['page=99999', 404],
    [`page=${'9'.repeat(40)}`, 422],
    ['sort=price;drop', 422],
    ['category=nenhuma', 404],
    ['category=a&category=b', 422],
    ['q=a&q=b', 422],
    [`q=${'a'.repeat(101)}`, 422],
    ['q=%00', 400],
  ];
  for (const [query, status] of wrong) {
    assert.equal((await shop.visitor().get(`/shop?${query}`)).status, status, query);
  }
  assert.equal((await shop.visitor().get('/shop?q=&category=&sort=&page=')).status, 200);
});

test("a card's number is neither searched for nor shown", async (t) => {
  const shop = await startShop(t);
  for (const q of ['4242 4242 4242 4242', 'fone ４２４２-４２４２-４２４２-４２４２']) {
    const page = await shop.visitor().get(`/shop?q=${encodeURIComponent(q)}`);
    assert.equal(page.status, 422);
    assert.ok(!page.text.includes(q) && !page.text.includes(encodeURIComponent(q)));
  }
  assert.ok(!shop.log().includes('4242'));
});
