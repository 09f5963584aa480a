import assert from 'node:assert/strict';
import { request } from 'node:http';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { categories, products } from '../../../seeds/catalogue.ts';
import { startShop } from '../../support/shop.ts';
import { BACKPACK } from '../../support/visitor.ts';
import { until } from '../../support/wait.ts';

const ORIGIN = 'https://shop.example';
const LISTED = [
  '/',
  '/shop',
  ...categories.map(({ slug }) => `/shop?category=${slug}`),
  ...products.map((_product, index) => `/detail/${index + 1}`),
  '/contact',
];

const canonicalOf = (html: string) => /<link rel="canonical" href="([^"]*)"/.exec(html)?.[1] ?? null;
const isListed = (html: string) => !html.includes('<meta name="robots" content="noindex"');
const property = (html: string, name: string) =>
  new RegExp(`<meta property="${name}" content="([^"]*)"`).exec(html)?.[1] ?? null;

interface ProductData {
  '@type': string;
  name: string;
  offers: Record<string, unknown>;
}

function structuredData(html: string): Partial<ProductData>[] {
  const blocks = html.matchAll(/<script type="application\/ld\+json">(.*?)<\/script>/gs);
  return Array.from(blocks, ([, json = '']) => JSON.parse(json));
}

test('the sitemap lists every page that search engines should, each by its canonical address', async (t) => {
  const shop = await startShop(t, { options: { publicUrl: ORIGIN } });
  const visitor = shop.visitor();
  const robots = await visitor.get('/robots.txt');
  assert.match(robots.headers.get('content-type') ?? '', /^text\/plain/);
  assert.match(
    robots.text,
    /^User-agent: \*\nDisallow: \/metrics\n\nSitemap: https:\/\/shop\.example\/sitemap\.xml\n$/,
  );

  const sitemap = await visitor.get('/sitemap.xml');
  assert.match(sitemap.headers.get('content-type') ?? '', /^application\/xml/);
  assert.match(sitemap.text, /^<\?xml version="1\.0" encoding="UTF-8"\?>\n<urlset xmlns="[^"]+">.*<\/urlset>\n$/s);
  const addresses = Array.from(sitemap.text.matchAll(/<loc>([^<]+)<\/loc>/g), ([, address]) => address);
  assert.deepEqual(
    addresses,
    LISTED.map((path) => `${ORIGIN}${path}`),
  );
  for (const path of LISTED) {
    const page = await visitor.get(path);
    assert.equal(page.status, 200, path);
    assert.equal(canonicalOf(page.text), `${ORIGIN}${path}`);
    assert.ok(isListed(page.text), path);
    assert.equal(property(page.text, 'og:url'), `${ORIGIN}${path}`);
    const picture = property(page.text, 'og:image') ?? '';
    assert.ok(picture.startsWith(`${ORIGIN}/static/`), picture);
    assert.equal((await visitor.get(picture.slice(ORIGIN.length))).status, 200, picture);
  }
  assert.equal(canonicalOf((await visitor.get('/shop?page=2&x=1')).text), `${ORIGIN}/shop?page=2`);
  await visitor.post('/add_to_cart/1', { quantity: 1 });
  for (const path of ['/shop?q=mochila', '/shop?sort=price_asc', '/cart', '/checkout', '/nowhere']) {
    assert.ok(!isListed((await visitor.get(path)).text), path);
  }
  for (const path of ['/robots.txt', '/sitemap.xml', '/favicon.ico']) {
    assert.equal((await fetch(`${shop.origin}${path}`)).headers.get('set-cookie'), null, path);
  }
});

test('a product page has its facts for search engines, also with special characters in its texts', async (t) => {
  const shop = await startShop(t, { options: { publicUrl: ORIGIN } });
  const visitor = shop.visitor();
  const page = await visitor.get('/detail/1');
  const [product, trail] = structuredData(page.text);
  assert.equal(product?.['@type'], 'Product');
  assert.equal(product?.name, BACKPACK.name);
  const offer = product?.offers ?? {};
  assert.equal(offer.price, (BACKPACK.cents / 100).toFixed(2));
  assert.equal(offer.priceCurrency, 'BRL');
  assert.equal(offer.availability, 'https://schema.org/InStock');
  assert.equal(offer.url, `${ORIGIN}/detail/1`);
  assert.equal(trail?.['@type'], 'BreadcrumbList');
  assert.equal(property(page.text, 'og:title'), BACKPACK.name);
  assert.equal(property(page.text, 'product:price:amount'), '249.90');

  const soldOut = products.findIndex(({ stock }) => stock === 0) + 1;
  const [gone] = structuredData((await visitor.get(`/detail/${soldOut}`)).text);
  assert.equal(gone?.offers?.availability, 'https://schema.org/OutOfStock');

  const name = '</script><script>alert("1")</script><!-- \u2028';
  await shop.knex('products').where({ id: 1 }).update({ name });
  await until('the new name is shown', async () => {
    const [changed] = structuredData((await visitor.get('/detail/1')).text);
    return changed?.name === name;
  });
  assert.doesNotMatch((await visitor.get('/detail/1')).text, /<script>/);
});

/** `fetch` sets the host by itself. */
function ask(origin: string, path: string, headers: Record<string, string>): Promise<string> {
  return new Promise((resolve, reject) => {
    request(origin, { path, headers }, (response) => resolve(text(response)))
      .on('error', reject)
      .end();
  });
}

test('no page has an address that a client made up, and none absolute where the origin is unknown', async (t) => {
  const shop = await startShop(t);
  const { port } = new URL(shop.origin);
  for (const path of ['/', '/shop', '/detail/1', '/contact', '/cart', '/robots.txt', '/sitemap.xml']) {
    for (const host of ['evil.example', 'localhost', `localhost:${port}.evil.example`, 'localhost:1', '[::1]']) {
      const page = await ask(shop.origin, path, { host, 'x-forwarded-host': `localhost:${port}` });
      assert.equal(page.includes(host), false, `${path} ${host}`);
      assert.equal(canonicalOf(page), null);
      assert.doesNotMatch(page, /og:url|og:image|Sitemap:|<loc>/);
    }
    for (const host of [`localhost:${port}`, `127.0.0.1:${port}`]) {
      const page = await ask(shop.origin, path, { host });
      if (path !== '/cart') assert.ok(page.includes(`http://${host}/`), `${path} of this machine`);
    }
  }
  const [product] = structuredData(await ask(shop.origin, '/detail/1', { host: 'evil.example' }));
  assert.equal(product?.offers?.url, '/detail/1');
});

test('the icon, the manifest and all that it names are there', async (t) => {
  const shop = await startShop(t);
  const visitor = shop.visitor();
  const icon = await visitor.get('/favicon.ico');
  assert.equal(icon.headers.get('content-type'), 'image/vnd.microsoft.icon');
  const page = await visitor.get('/');
  const [, address = ''] = /<link rel="manifest" href="([^"]+)"/.exec(page.text) ?? [];
  const file = await visitor.get(address);
  assert.match(file.headers.get('content-type') ?? '', /^application\/manifest\+json/);
  const manifest = JSON.parse(file.text) as { icons: { src: string; type: string }[]; start_url: string };
  for (const { src, type } of manifest.icons) {
    const picture = await visitor.get(new URL(src, `${shop.origin}${address}`).pathname);
    assert.equal(picture.headers.get('content-type'), type);
  }
  assert.equal((await visitor.get(manifest.start_url)).status, 200);
});
