import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PATIENCE, recordStatements, startShop } from '../../support/shop.ts';
import type { Page, Visitor } from '../../support/visitor.ts';
import { until, whenDone } from '../../support/wait.ts';

const PAGES = [
  '/',
  '/shop',
  '/shop?category=audio&sort=price_asc',
  '/shop?page=2',
  '/detail/1',
  '/detail/2',
  '/contact',
];
const VISITORS = [1, 2, 3, 4, 5, 6];
const ENCODINGS = ['br', 'gzip', 'identity'];

/** The units that the page shows at the cart. */
const badgeOf = ({ text }: Page) => Number(/class="badge">(\d+)/.exec(text)?.[1] ?? 0);
const etagOf = ({ headers }: Page) => headers.get('etag') ?? '';
/** As a browser asks whether a page is still right. Without `Cache-Control`, `fetch` would ask for another one. */
const ifOtherThan = (etag: string) => ({ 'if-none-match': etag, 'cache-control': 'max-age=0' });

test('a page that the client has already is answered with 304 until it or the cart changes', async (t) => {
  const shop = await startShop(t);
  const shopper = shop.visitor();
  await shopper.get('/');
  for (const path of PAGES) {
    const tags = new Set<string>();
    for (const encoding of ENCODINGS) {
      const headers = { 'accept-encoding': encoding };
      const page = await shopper.get(path, headers);
      assert.equal(page.headers.get('content-encoding'), encoding === 'identity' ? null : encoding);
      assert.equal(page.headers.get('vary'), 'Accept-Encoding, Cookie');
      assert.equal(page.headers.get('cache-control'), 'private, no-cache');
      const again = await shopper.get(path, { ...headers, ...ifOtherThan(etagOf(page)) });
      assert.equal(again.status, 304, path);
      assert.equal(again.text, '');
      assert.equal(etagOf(again), etagOf(page));
      tags.add(etagOf(page));
    }
    assert.equal(tags.size, ENCODINGS.length, `${path} has an ETag for each encoding`);
  }
  const before = await shopper.get('/');
  const metrics = await shop.metrics();
  assert.equal(metrics.of('shop_product_views_total', { product: 'mochila-urbana' }), 6, 'a 304 is a visit too');

  await shopper.post('/add_to_cart/1', { quantity: 2 });
  await shopper.get('/contact');
  const counted = await shopper.get('/', ifOtherThan(etagOf(before)));
  assert.equal(counted.status, 200);
  assert.equal(badgeOf(counted), 2);

  await shop.knex('categories').where({ id: 1 }).update({ name: 'Bolsas novas' });
  const changed = await until('the change is shown', async () => {
    const page = await shopper.get('/', ifOtherThan(etagOf(counted)));
    return page.status === 200 && page;
  });
  assert.match(changed.text, /Bolsas novas/);
});

test('the pages of a known visitor ask no database', async (t) => {
  const { shop, statements } = await recordStatements(t, await startShop(t));
  const shopper = shop.visitor();
  await shopper.post('/add_to_cart/1', { quantity: 2 });
  assert.match(statements.join(), /cart_items/, 'statements are recorded');
  statements.length = 0;
  for (const path of [...PAGES, '/shop?q=mochila']) {
    const page = await shopper.get(path);
    assert.equal(page.status, 200);
    assert.equal(badgeOf(page), 2);
    assert.deepEqual(statements, [], path);
  }
});

test('a page with a message or a new cookie is kept by no cache', async (t) => {
  const shop = await startShop(t);
  const shopper = shop.visitor();
  const first = await shopper.get('/');
  assert.ok(first.headers.getSetCookie().length > 0);
  const second = await shopper.get('/');
  assert.deepEqual(second.headers.getSetCookie(), []);
  await shopper.post('/add_to_cart/1', { quantity: 1 });
  const told = await shopper.get('/detail/1', ifOtherThan('*'));
  assert.match(told.text, /Produto adicionado/);
  for (const page of [first, told]) {
    assert.equal(page.status, 200);
    assert.equal(page.headers.get('cache-control'), 'no-store');
    assert.equal(page.headers.get('etag'), null);
  }
  const stranger = await shop.visitor().get('/', ifOtherThan(etagOf(second)));
  assert.equal(stranger.status, 200, 'a new visitor gets a cookie, and so a page');

  for (const path of ['/cart', '/checkout', '/nowhere', '/detail/99999', '/shop?q=mochila']) {
    const page = await shopper.get(path, ifOtherThan('*'));
    assert.equal(page.headers.get('cache-control'), 'no-store', path);
    assert.equal(page.headers.get('etag'), null, path);
    assert.notEqual(page.status, 304, path);
  }
});

test("pages of the catalogue are shown without the cart's units while these can't be counted", async (t) => {
  const shop = await startShop(t);
  const shopper = shop.visitor();
  await shopper.post('/add_to_cart/1', { quantity: 2 });
  await shopper.get('/contact');
  await shop.knex.raw('alter table carts rename to carts_away');
  assert.equal((await shopper.post('/add_to_cart/1', { quantity: 3 })).status, 500);

  async function assertUncounted(): Promise<void> {
    for (const page of await Promise.all(PAGES.map((path) => shopper.get(path)))) {
      assert.equal(page.status, 200);
      assert.equal(badgeOf(page), 0);
      assert.equal(page.headers.get('cache-control'), 'no-store');
      assert.equal(page.headers.get('etag'), null);
    }
  }
  await assertUncounted();
  assert.match(shop.log(), /could not be counted/);
  await shop.knex.raw('alter table carts_away rename to carts');
  const lock = await shop.knex.transaction();
  whenDone(t, () => lock.rollback());
  await lock.raw('lock table carts in access exclusive mode');
  await assertUncounted();
  await lock.rollback();

  await until('the units are counted again', async () => badgeOf(await shopper.get('/')) === 2);
  assert.notEqual(etagOf(await shopper.get('/')), '');
});

test('the spellings of an address are one page', async (t) => {
  const shop = await startShop(t);
  const shopper = shop.visitor();
  await shopper.get('/');
  const spellings = [
    '/shop?category=audio',
    '/shop?category=audio&sort=featured&page=1&q=',
    '/shop/?x=1&category=audio',
  ];
  const pages = await Promise.all(spellings.map((path) => shopper.get(path)));
  assert.match(pages[0]?.text ?? '', /category=audio" aria-current="page"/);
  for (const page of pages) assert.equal(page.text, pages[0]?.text);
});

interface Step {
  readonly visitor: number;
  readonly path: string;
  readonly encoding: string;
  /** Units of product 1 to add first; 0: none. */
  readonly quantity: number;
}

const step: fc.Arbitrary<Step> = fc.record({
  visitor: fc.constantFrom(...VISITORS),
  path: fc.constantFrom(...PAGES),
  encoding: fc.constantFrom(...ENCODINGS),
  quantity: fc.oneof(
    { weight: 3, arbitrary: fc.constant(0) },
    { weight: 1, arbitrary: fc.integer({ min: 1, max: 5 }) },
  ),
});

test("no visitor ever sees another's count or message, however many ask at once", async (t) => {
  const shop = await startShop(t, PATIENCE);
  const strangers = new Map<string, string>();
  for (const path of PAGES) strangers.set(path, (await shop.visitor().get(path)).text);

  /** One visitor's steps, one after the other, against what a visitor of this history must see. */
  async function walk(shopper: Visitor, steps: readonly Step[]): Promise<void> {
    let units = 0;
    for (const { path, encoding, quantity } of steps) {
      if (quantity > 0) {
        assert.equal((await shopper.post('/add_to_cart/1', { quantity })).status, 302);
        units += quantity;
      }
      const page = await shopper.get(path, { 'accept-encoding': encoding });
      assert.equal(page.status, 200);
      assert.equal(badgeOf(page), units, path);
      assert.equal(page.text.includes('Produto adicionado'), quantity > 0, path);
      assert.equal(withoutPersonalPart(page.text), withoutPersonalPart(strangers.get(path) ?? ''), path);
    }
  }

  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 40 }), async (steps) => {
      await Promise.all(
        VISITORS.map((each) =>
          walk(
            shop.visitor(),
            steps.filter(({ visitor }) => visitor === each),
          ),
        ),
      );
    }),
    { numRuns: 15 },
  );
});

function withoutPersonalPart(html: string): string {
  return html.replace(/<span class="badge">.*?<\/span><\/span>/, '').replace(/<div class="flash.*?<\/div>/, '');
}

test('a page is the same at every spelling of its address, and counts for its route', async (t) => {
  const shop = await startShop(t);
  const visitor = shop.visitor();
  const route = { method: 'GET', route: '/detail/:id', status_code: '200' };
  await visitor.get('/');
  const before = await shop.metrics();
  const page = await visitor.get('/detail/1');
  const spellings = ['/detail/1?from=mail', '/detail/1/', '/DETAIL/1', '/detail/%31'];
  for (const spelling of spellings) {
    const same = await visitor.get(spelling);
    assert.deepEqual([same.status, etagOf(same)], [200, etagOf(page)], spelling);
  }
  const change = (await shop.metrics()).since(before);
  assert.equal(change.of('http_request_duration_seconds_count', route), 1 + spellings.length);

  for (const path of ['/detail/', '/detail/1/2', '/detail/01', '/detail/1.5', '/detail/x']) {
    assert.equal((await visitor.get(path)).status, 404, path);
  }
});
