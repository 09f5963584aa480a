import type { Browser } from './browser.ts';
import type { Chance } from './chance.ts';
import type { Form, Page } from './page.ts';
import { DECLINED_CARD, mistype, type Person, payingByPix } from './people.ts';
import type { Popularity } from './popularity.ts';
import type { Tally } from './tally.ts';

/** One person who shops. */
export interface Shopper {
  /** From the first page to the last one. The next visit has the same cookies, and so the same cart. */
  visit(): Promise<void>;
  /** Looks once more at a Pix that was not paid when the visit was cut short. */
  leave(): Promise<void>;
  /** Whether the shop has seen the shopper's cookie, and so counts them as online. */
  isOnline(): boolean;
  /** Whether something is in the cart, as the pages told. */
  hasCart(): boolean;
}

export interface ShopperDeps {
  readonly browser: Browser;
  readonly chance: Chance;
  readonly popularity: Popularity;
  readonly person: Person;
  readonly tally: Tally;
  /** Resolves after about so many times the usual look at a page. */
  think(times: number): Promise<void>;
}

/*
 * Probabilities, each of the shoppers at that step. About a quarter of the visits end with an order: more than in a real
 * shop, so that five minutes show some.
 */
const ARRIVES_AT_PRODUCT = 0.25;
const ARRIVES_AT_LIST = 0.2;
const ADDS = 0.25;
const ADDS_FROM_LIST = 0.12;
const TAKES_SEVERAL = 0.25;
const OPENS_CART = 0.75;
const CHANGES_QUANTITY = 0.2;
const REMOVES = 0.12;
const LEAVES_CART = 0.25;
const LEAVES_CHECKOUT = 0.15;
const MISTYPES = 0.12;
const IS_DECLINED = 0.08;
const TRIES_ANOTHER_CARD = 0.7;
const PAYS_BY_PIX = 1 / 3;
const LETS_PIX_EXPIRE = 0.1;
const LEAVES_QUANTITY_OUT = 0.03;
const FOLLOWS_DEAD_LINK = 0.05;

const MOST_PRODUCTS = 6;
const MOST_UNITS = 3;
/** A form takes longer than a look at a page. */
const FORM_TIMES = 3;

/** Ways from a page to a list of products, with their weights. */
const WAYS = { here: 4, category: 3, search: 2, more: 2, home: 1 };

const DEAD_LINKS = ['/promocoes', '/black-friday', '/detail/999999'];
const PRODUCT = /^\/detail\/\d+$/;
const CATEGORY = /^\/shop\?category=/;
const NEXT_PAGES = /^\/shop\?.*\bpage=/;
const ADD = '/add_to_cart/';
const UPDATE = '/update_quantity/';
const REMOVE = '/remove_item/';
const CHECKOUT = '/checkout';
const CONFIRMATION = '/order_confirmation/';
const PIX = '/pix/';

export function createShopper({ browser, chance, popularity, person, tally, think }: ShopperDeps): Shopper {
  const prefersPix = chance.happens(PAYS_BY_PIX);
  let openPix: string | undefined;
  let pages = 0;
  let hasCart = false;

  async function visit(): Promise<void> {
    tally.visited();
    if (openPix !== undefined) await open(openPix);
    let page = await arrive();
    if (PRODUCT.test(page.path)) page = await consider(page);
    for (let left = chance.between(1, MOST_PRODUCTS); left > 0; left--) {
      if (chance.happens(FOLLOWS_DEAD_LINK)) page = await open(chance.pick(DEAD_LINKS));
      page = await lookFurther(page);
    }
    if (hasCart && chance.happens(OPENS_CART)) await buy();
  }

  async function open(path: string): Promise<Page> {
    return look(await browser.open(path));
  }

  async function submit(form: Form, values: Readonly<Record<string, string>> = {}): Promise<Page> {
    const page = await browser.submit(form, values);
    if (form.path.startsWith(ADD) && page.status < 400) hasCart = true;
    return look(page);
  }

  async function look(page: Page): Promise<Page> {
    note(page);
    await think(1);
    return page;
  }

  function note(page: Page): void {
    pages += 1;
    popularity.see(productsOn(page));
    if (page.path === '/cart' && page.status < 400) hasCart = formsTo(page, UPDATE).length > 0;
    if (page.path.startsWith(CONFIRMATION)) {
      hasCart = false;
      openPix = undefined;
    }
    if (page.path.startsWith(PIX)) {
      const isWaiting = formsTo(page, PIX).length > 0;
      openPix = isWaiting ? page.path : undefined;
      if (!isWaiting) tally.pixEnded(page.path);
    }
  }

  function arrive(): Promise<Page> {
    const known = [...popularity.seen().keys()];
    if (known.length > 0 && chance.happens(ARRIVES_AT_PRODUCT)) return open(chance.pickBy(known, popularity.of));
    return open(chance.happens(ARRIVES_AT_LIST) ? '/shop' : '/');
  }

  /** Finds products from this page, and looks at one of them. */
  async function lookFurther(from: Page): Promise<Page> {
    const list = await findList(from);
    const cards = formsTo(list, ADD);
    if (cards.length > 0 && chance.happens(ADDS_FROM_LIST)) {
      return add(chance.pickBy(cards, ({ path }) => popularity.of(path.replace(ADD, '/detail/'))));
    }
    const products = [...productsOn(list).keys()];
    return products.length > 0 ? consider(await open(chance.pickBy(products, popularity.of))) : list;
  }

  function findList(from: Page): Promise<Page> | Page {
    const ways = Object.entries(WAYS).filter(([way]) => way !== 'here' || productsOn(from).size > 1);
    const [way] = chance.pickBy(ways, ([, weight]) => weight);
    const linksTo = (wanted: RegExp) => from.links.map(({ path }) => path).filter((path) => wanted.test(path));
    switch (way) {
      case 'here':
        return from;
      case 'category':
        return openOneOf(linksTo(CATEGORY));
      case 'search':
        return search(from);
      case 'more':
        return openOneOf(linksTo(NEXT_PAGES));
      default:
        return open('/');
    }
  }

  function openOneOf(paths: readonly string[]): Promise<Page> {
    return open(paths.length > 0 ? chance.pick(paths) : '/shop');
  }

  /** Searches for the first word of a product's name. */
  function search(from: Page): Promise<Page> {
    const form = from.forms.find(({ method, fields }) => method === 'GET' && fields.some(({ name }) => name === 'q'));
    const wanted = [...popularity.seen()];
    if (!form || wanted.length === 0) return open('/shop');
    const [, name] = chance.pickBy(wanted, ([path]) => popularity.of(path));
    return submit(form, { q: name.split(' ', 1)[0] ?? '' });
  }

  /** May put the product of this page into the cart. A page of a product that is sold out has no form for that. */
  async function consider(page: Page): Promise<Page> {
    const form = page.forms.find(({ path }) => path === page.path.replace('/detail/', ADD));
    return form && chance.happens(ADDS) ? add(form) : page;
  }

  async function add(form: Form): Promise<Page> {
    const most = Math.min(MOST_UNITS, quantityOf(form).max);
    const units = chance.happens(TAKES_SEVERAL) ? chance.between(1, most) : 1;
    const quantity = chance.happens(LEAVES_QUANTITY_OUT) ? '' : String(units);
    return submit(form, { quantity });
  }

  async function buy(): Promise<void> {
    let cart = await mendCart(await open('/cart'));
    const [item] = formsTo(cart, UPDATE);
    if (item && chance.happens(CHANGES_QUANTITY)) {
      const most = Math.min(MOST_UNITS, quantityOf(item).max);
      cart = await submit(item, { quantity: String(chance.between(1, most)) });
    }
    const [removal] = formsTo(cart, REMOVE);
    if (removal && chance.happens(REMOVES)) await submit(removal);
    if (!hasCart || chance.happens(LEAVES_CART)) return;
    const [form] = formsTo(await open(CHECKOUT), CHECKOUT);
    if (form && !chance.happens(LEAVES_CHECKOUT)) await order(form);
  }

  /** Takes no more than the stock has: others may have bought it. */
  async function mendCart(cart: Page): Promise<Page> {
    const item = formsTo(cart, UPDATE).find((form) => quantityOf(form).value > quantityOf(form).max);
    if (!item) return cart;
    const mended = await submit(item, { quantity: String(quantityOf(item).max) });
    return mended.status < 400 ? mendCart(mended) : mended;
  }

  async function order(first: Form): Promise<void> {
    const byPix = prefersPix && first.fields.some(({ value }) => value === 'pix');
    const attempts = [byPix ? payingByPix(person) : person];
    if (!byPix && chance.happens(IS_DECLINED)) attempts.unshift({ ...person, card_number: DECLINED_CARD });
    if (chance.happens(MISTYPES)) attempts.unshift(mistype(attempts.at(-1) ?? person, chance));
    let form: Form | undefined = first;
    for (const entries of attempts) {
      await think(FORM_TIMES);
      const page = await submit(form, entries);
      if (page.path.startsWith(PIX)) await payPix(page);
      [form] = formsTo(page, CHECKOUT);
      const givesUp = entries.card_number === DECLINED_CARD && !chance.happens(TRIES_ANOTHER_CARD);
      if (!form || givesUp) return;
    }
  }

  /** A Pix is simulated: while it waits, its page has a form that says what the bank would do. */
  async function payPix(page: Page): Promise<void> {
    const [form] = formsTo(page, PIX);
    if (form) await submit(form, { outcome: chance.happens(LETS_PIX_EXPIRE) ? 'expired' : 'paid' });
  }

  async function leave(): Promise<void> {
    if (openPix !== undefined) note(await browser.open(openPix));
  }

  return { visit, leave, isOnline: () => pages > 1, hasCart: () => hasCart };
}

/** The products that a page links to: name by address. */
function productsOn({ links }: Page): Map<string, string> {
  const products = new Map<string, string>();
  // A picture's link comes first, and may have no text.
  for (const { path, text } of links) if (PRODUCT.test(path) && text !== '') products.set(path, text);
  return products;
}

/** Forms that are posted to an address that begins like this. */
function formsTo({ forms }: Page, start: string): Form[] {
  return forms.filter(({ method, path }) => method === 'POST' && path.startsWith(start));
}

/** The quantity that a form shows, and the largest one that it takes. */
function quantityOf({ fields }: Form): { value: number; max: number } {
  const field = fields.find(({ name }) => name === 'quantity');
  return { value: Number(field?.value), max: field?.max ?? 1 };
}
