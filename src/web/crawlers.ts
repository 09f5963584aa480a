import type { Catalogue } from '../shop/catalogue/catalogue.ts';
import type { CatalogueWatch } from '../shop/catalogue/watch.ts';
import { noSuchPage } from '../shop/errors.ts';
import type { OriginOf } from './origin.ts';
import type { WebContext } from './state.ts';

/** Both files change with the catalogue or the setting alone. */
const FOR_AN_HOUR = 'public, max-age=3600';

export interface CrawlerDeps {
  readonly catalogue: Pick<CatalogueWatch, 'current'>;
  readonly originOf: OriginOf;
}

/**
 * `GET /robots.txt` (RFC 9309). Cart, checkout and searches are not forbidden here: they say `noindex` themselves, which a
 * crawler sees only if it may read them.
 */
export function showRobots(ctx: WebContext, { originOf }: CrawlerDeps): void {
  const origin = originOf(ctx);
  ctx.type = 'text/plain';
  ctx.set('Cache-Control', FOR_AN_HOUR);
  ctx.body = `User-agent: *\nDisallow: /metrics\n${origin === null ? '' : `\nSitemap: ${origin}/sitemap.xml\n`}`;
}

/**
 * `GET /sitemap.xml` (https://www.sitemaps.org/protocol.html): every page that search engines should list. Its addresses
 * must be absolute, so there is none where the origin is not known.
 */
export function showSitemap(ctx: WebContext, { catalogue, originOf }: CrawlerDeps): void {
  const origin = originOf(ctx);
  if (origin === null) throw noSuchPage();
  ctx.type = 'application/xml';
  ctx.set('Cache-Control', FOR_AN_HOUR);
  ctx.body = sitemapOf(catalogue.current(), origin);
}

function sitemapOf(catalogue: Catalogue, origin: string): string {
  const paths = [
    '/',
    '/shop',
    ...catalogue.categories.map(({ slug }) => `/shop?category=${encodeURIComponent(slug)}`),
    ...catalogue.products.map(({ id }) => `/detail/${id}`),
    '/contact',
  ];
  // Neither an origin nor an encoded path has a character that XML would need escaped.
  const urls = paths.map((path) => `  <url><loc>${origin}${path}</loc></url>\n`).join('');
  return `<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n${urls}</urlset>\n`;
}
