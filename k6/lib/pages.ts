/*
 * What a script knows of the shop's pages: their routes, and how to read what a shopper needs from their HTML.
 */

/** Addresses of the journeys, by method. The template is the label `route` of the shop's metrics. */
const TEMPLATES = {
  GET: ['/', '/shop', '/detail/:id', '/cart', '/checkout', '/order_confirmation/:number', '/pix/:reference'],
  POST: ['/add_to_cart/:id', '/update_quantity/:item', '/remove_item/:item', '/checkout', '/pix/:reference/simulation'],
} as const;

export type Method = keyof typeof TEMPLATES;

/** Every page and form of the journeys as its requests are tagged: `GET /detail/:id`. */
export const REQUESTS: readonly string[] = (Object.keys(TEMPLATES) as Method[]).flatMap((method) =>
  TEMPLATES[method].map((route) => `${method} ${route}`),
);

/** Label `route` of an address that the shop does not have. */
export const UNMATCHED = 'unmatched';

/** @param path with or without a query */
export function routeOf(method: Method, path: string): string {
  const address = path.replace(/[?#].*$/, '');
  const templates: readonly string[] = TEMPLATES[method];
  return templates.find((template) => new RegExp(`^${template.replace(/:\w+/g, '[^/]+')}$`).test(address)) ?? UNMATCHED;
}

/** Where a redirect leads: a path of the shop. A fragment is not sent. */
export function pathOf(location: string): string {
  return location.replace(/^https?:\/\/[^/]+/, '').replace(/#.*$/, '');
}

/** Ids of the products that a page links to, each once. */
export function productsOn(html: string): number[] {
  return idsAfter(html, 'href="/detail/');
}

/** Ids of the products that can be added to the cart from this page. */
export function buyableOn(html: string): number[] {
  return idsAfter(html, 'action="/add_to_cart/');
}

/** Ids of the items of a cart. */
export function itemsOn(html: string): number[] {
  return idsAfter(html, 'action="/update_quantity/');
}

/** Addresses of the categories that a page links to, each once. */
export function categoriesOn(html: string): string[] {
  return unique(all(html, /href="(\/shop\?category=[^"&]+)"/g));
}

/** Address of the list's other pages, each once. */
export function listPagesOn(html: string): string[] {
  return unique(all(html, /href="(\/shop\?[^"]*\bpage=\d+[^"]*)"/g).map((path) => path.replace(/&amp;/g, '&')));
}

/** Value of an input; empty where the page has none of this name. */
export function inputOf(html: string, name: string): string {
  const [input = ''] = new RegExp(`<input[^>]* name="${name}"[^>]*>`).exec(html) ?? [];
  const [, value = ''] = / value="([^"]*)"/.exec(input) ?? [];
  return value;
}

/** Whether a product's page says that there are plenty, so that the last one is not sold meanwhile. */
export function isPlenty(html: string): boolean {
  return html.includes('stock--ok');
}

/** The product's slug, which its page tells search engines as `sku`: the label `product` of the metrics. */
export function slugOn(html: string): string | undefined {
  const [, slug] = /"sku":\s*"([^"]+)"/.exec(html) ?? [];
  return slug;
}

function idsAfter(html: string, start: string): number[] {
  return unique(all(html, new RegExp(`${start.replace('?', '\\?')}(\\d+)"`, 'g'))).map(Number);
}

/** The first group of each match. */
function all(text: string, pattern: RegExp): string[] {
  return Array.from(text.matchAll(pattern), ([, group = '']) => group);
}

function unique<T>(items: readonly T[]): T[] {
  return [...new Set(items)];
}
