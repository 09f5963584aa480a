import { isUnsure } from './books.ts';
import { pick, pickBy, popularity } from './chance.ts';
import { buyableOn, categoriesOn, inputOf, isPlenty, itemsOn, listPagesOn, productsOn, slugOn } from './pages.ts';
import { entriesOf, MISTAKES, type Payment } from './person.ts';
import { type Answer, holds, Leaves, type Opening, type Shop } from './shop.ts';

/*
 * Probabilities, each of the shoppers at that step: about one visit in five ends with an order.
 */
const ARRIVES_AT_PRODUCT = 0.25;
const ARRIVES_AT_LIST = 0.2;
const FOLLOWS_DEAD_LINK = 0.04;
const SEARCHES = 0.25;
const CHOOSES_CATEGORY = 0.3;
const TURNS_PAGE = 0.2;
const ADDS = 0.3;
const TAKES_SEVERAL = 0.25;
const MISTYPES_QUANTITY = 0.05;
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

const MOST_LOOKS = 4;
const MOST_UNITS = 3;
/** A form takes longer than a look at a page. */
const FORM_TIMES = 3;
const SEARCHED = ['mochila', 'fone', 'relógio', 'café', 'couro'];
const DEAD_LINKS = ['/promocoes', '/detail/999999'];
const NOWHERE = '/promocoes';

/** Submits of an order until its answer is definite, and looks at a Pix until it has ended. */
const MOST_ATTEMPTS = 12;

/** What a shopper does in the form of the checkout: attempts to pay, one after the other. */
interface Plan {
  readonly mistypes: boolean;
  readonly payments: readonly Payment[];
}

/** One shopper, with an empty cart at first: k6 forgets all cookies when an iteration begins. */
export type Shopper = ReturnType<typeof createShopper>;

export function createShopper(shop: Shop, { products }: Opening) {
  /** Comes, looks around, and may buy. */
  function visit(): void {
    let page = arrive();
    let hasCart = false;
    for (let looks = between(1, MOST_LOOKS); looks > 0 && !shop.isOver(); looks--) {
      if (happens(FOLLOWS_DEAD_LINK)) shop.open(oneOf(DEAD_LINKS) ?? NOWHERE, [404]);
      page = lookFurther(page);
      if (happens(ADDS) && !shop.isOver()) hasCart = addFrom(page) || hasCart;
    }
    if (hasCart && happens(OPENS_CART) && !shop.isOver()) considerBuying();
  }

  /** Comes to buy one thing, and does. */
  function buy(): void {
    const list = findList(shop.open('/'));
    const id = popularOf(buyableOn(list.body)) ?? popularOf(buyableOn(shop.open('/shop').body));
    if (!holds('something can be bought', id !== undefined) || id === undefined) return;
    shop.open(`/detail/${id}`);
    if (!add(id) || shop.isOver()) return;
    shop.open('/cart');
    order(randomPlan());
  }

  /** Goes everywhere once, makes each mistake and pays in each way. */
  function tour(): void {
    const home = shop.open('/');
    holds('the home page shows products', productsOn(home.body).length > 0);
    shop.open(NOWHERE, [404]);
    holds('a search finds products', productsOn(shop.open('/shop?q=mochila').body).length > 0);
    holds('a search for nonsense finds none', buyableOn(shop.open('/shop?q=nadaparecidocomisto').body).length === 0);
    const [first, second] = findPlenty();
    if (!holds('two products can be bought', second !== undefined) || first === undefined || second === undefined) {
      return;
    }

    mistypeQuantity(first);
    add(first, 2);
    add(second, 1);
    const [kept, dropped] = itemsOn(shop.open('/cart').body);
    holds('the cart holds both products', dropped !== undefined);
    change(`/update_quantity/${kept}`, { quantity: '1' });
    change(`/remove_item/${dropped}`, {});
    const cart = shop.open('/cart').body;
    holds('the cart holds one unit of one product', itemsOn(cart).length === 1 && inputOf(cart, 'quantity') === '1');
    order({ mistypes: true, payments: ['declined card', 'card'] });
    holds('the cart is empty after the order', itemsOn(shop.open('/cart').body).length === 0);

    add(first, 1);
    order({ mistypes: false, payments: ['expired pix', 'pix'] });
    holds('the cart is empty after the Pix', itemsOn(shop.open('/cart').body).length === 0);
  }

  /** Two products of the list, from a random one on. */
  function findPlenty(): number[] {
    const offered = buyableOn(shop.open('/shop').body);
    const start = between(0, Math.max(0, offered.length - 1));
    const found: number[] = [];
    for (const id of [...offered.slice(start), ...offered.slice(0, start)]) {
      const { body } = shop.open(`/detail/${id}`);
      holds('a product tells its slug', slugOn(body) !== undefined);
      if (isPlenty(body)) found.push(id);
      if (found.length === 2) break;
    }
    return found;
  }

  function arrive(): Answer {
    const known = popularOf(Object.values(products));
    if (known !== undefined && happens(ARRIVES_AT_PRODUCT)) return shop.open(`/detail/${known}`);
    return shop.open(happens(ARRIVES_AT_LIST) ? '/shop' : '/');
  }

  /** Looks for a product on this page or on another list, and opens it. @returns the last page */
  function lookFurther(from: Answer): Answer {
    const list = findList(from);
    const id = popularOf(productsOn(list.body));
    return id === undefined ? list : shop.open(`/detail/${id}`);
  }

  function findList(from: Answer): Answer {
    if (happens(SEARCHES)) return shop.open(`/shop?q=${encodeURIComponent(oneOf(SEARCHED) ?? '')}`);
    const category = oneOf(categoriesOn(from.body));
    if (category !== undefined && happens(CHOOSES_CATEGORY)) return shop.open(category);
    const page = oneOf(listPagesOn(from.body));
    if (page !== undefined && happens(TURNS_PAGE)) return shop.open(page);
    return productsOn(from.body).length > 1 ? from : shop.open('/shop');
  }

  /** Adds the product of this page, or one that it offers. @returns whether it is in the cart */
  function addFrom(page: Answer): boolean {
    const own = Number(page.path.replace('/detail/', ''));
    const offered = buyableOn(page.body);
    const id = offered.includes(own) ? own : popularOf(offered);
    if (id === undefined) return false;
    if (happens(MISTYPES_QUANTITY)) mistypeQuantity(id);
    return add(id);
  }

  function mistypeQuantity(id: number): void {
    shop.noteError(shop.submit(`/add_to_cart/${id}`, { quantity: '0' }, [422]));
    shop.think(1);
  }

  function add(id: number, units = happens(TAKES_SEVERAL) ? between(1, MOST_UNITS) : 1): boolean {
    // It may have been sold out since the page was shown.
    const answer = shop.submit(`/add_to_cart/${id}`, { quantity: String(units) }, [302, 409]);
    shop.noteError(answer);
    const { status, location } = answer;
    if (status === 302 || isUnsure(status)) {
      shop.note('additions', shop.entryOfProduct(id, products), status === 302);
    }
    if (status !== 302 || location === undefined) return false;
    shop.open(location);
    return true;
  }

  function considerBuying(): void {
    const items = itemsOn(shop.open('/cart').body);
    holds('the cart holds what was added', items.length > 0);
    const item = oneOf(items);
    if (item !== undefined && happens(CHANGES_QUANTITY)) change(`/update_quantity/${item}`, { quantity: '2' });
    if (item !== undefined && items.length > 1 && happens(REMOVES)) change(`/remove_item/${item}`, {});
    if (happens(LEAVES_CART) || shop.isOver()) return;
    if (happens(LEAVES_CHECKOUT)) shop.open('/checkout');
    else order(randomPlan());
  }

  function change(path: string, form: { readonly quantity?: string }): void {
    const answer = shop.submit(path, { ...form });
    shop.noteError(answer);
    if (answer.location !== undefined) shop.open(answer.location);
  }

  /** Fills in the form until the order is made or given up. */
  function order({ mistypes, payments }: Plan): void {
    const page = shop.open('/checkout');
    const mayOrder = page.path === '/checkout';
    if (!holds('a cart can be ordered', mayOrder)) return;
    shop.think(FORM_TIMES);
    if (mistypes) mistype(page, payments[0] ?? 'card');
    for (const payment of payments) {
      shop.think(1);
      if (pay(page, payment)) return;
    }
  }

  function mistype(page: Answer, payment: Payment): void {
    const refused = shop.submit('/checkout', { ...entriesOn(page, payment), ...oneOf(MISTAKES) }, [422]);
    shop.noteError(refused);
    if (refused.status === 422) holds('a mistake is explained in the form', inputOf(refused.body, 'cart') !== '');
  }

  /**
   * Submits the order, and again while the answer is not definite: one order is made of all of them.
   *
   * @returns whether the cart is known to have its order
   */
  function pay(page: Answer, payment: Payment): boolean {
    const entries = entriesOn(page, payment);
    const method = methodOf(payment);
    for (let attempts = MOST_ATTEMPTS; attempts > 0; attempts--) {
      // The last unit may have been sold since the cart was shown.
      const answer = shop.submit('/checkout', entries, payment === 'declined card' ? [422, 409] : [302, 409]);
      if (!isUnsure(answer.status)) {
        // An attempt before may have made a Pix, which this answer does not lead to.
        if (method === 'pix' && attempts < MOST_ATTEMPTS && answer.location === undefined) notePixEnds();
        return follow(answer, payment);
      }
      shop.noteError(answer);
      // The next answer does not tell how this attempt has ended.
      for (const outcome of ['failed', 'out_of_stock']) shop.note('orders', outcome, false);
      for (const outcome of ['failed', 'cancelled']) shop.note('payments', `${method} ${outcome}`, false);
      if (payment === 'declined card') noteDeclined(false);
      shop.wait();
    }
    if (payment === 'card') notePaid('card', false);
    if (method === 'pix') notePixEnds();
    return false;
  }

  /** What a definite answer means. @returns whether the cart has its order */
  function follow(answer: Answer, payment: Payment): boolean {
    const { status, location = '', body } = answer;
    if (status === 422 && payment === 'declined card') {
      shop.noteError(answer, 'payment_declined');
      noteDeclined(true);
      holds('a declined card keeps the cart', inputOf(body, 'cart') !== '');
      return false;
    }
    shop.noteError(answer);
    if (status === 409 && body.includes('Não há estoque suficiente')) {
      shop.note('orders', 'out_of_stock');
      // Only if it was sold while the card was asked for.
      if (payment === 'card') shop.note('payments', 'card cancelled', false);
    }
    if (location.startsWith('/order_confirmation/')) {
      // By Pix, if one of an attempt before was paid meanwhile.
      notePaid(methodOf(payment), true);
      const number = location.replace('/order_confirmation/', '');
      holds('the order is confirmed', shop.open(location).body.includes(number));
      return true;
    }
    return location.startsWith('/pix/') && payPix(location, payment);
  }

  /**
   * A Pix is simulated: while it waits, its page has a form that says what the bank would do.
   *
   * @returns whether it was paid, and ordered
   */
  function payPix(path: string, payment: Payment): boolean {
    const simulation = `${path}/simulation`;
    try {
      for (let attempts = MOST_ATTEMPTS; attempts > 0; attempts--) {
        const page = shop.open(path);
        if (!page.body.includes(`action="${simulation}"`)) return notePixEnd(page);
        shop.noteError(shop.submit(simulation, { outcome: payment === 'expired pix' ? 'expired' : 'paid' }));
      }
      notePixEnds();
      return false;
    } catch (error) {
      if (error instanceof Leaves) notePixEnds();
      throw error;
    }
  }

  /** @returns whether it was paid, and ordered */
  function notePixEnd({ path, body }: Answer): boolean {
    const isOrdered = path.startsWith('/order_confirmation/');
    if (isOrdered) {
      notePaid('pix', true);
    } else if (body.includes('O Pix expirou')) {
      shop.note('payments', 'pix expired');
    } else if (body.includes('Um produto esgotou')) {
      shop.note('orders', 'out_of_stock');
      shop.note('payments', 'pix cancelled');
    } else {
      notePixEnds();
    }
    return isOrdered;
  }

  /** Each way in which a Pix may have ended that this shopper does not see the end of. */
  function notePixEnds(): void {
    notePaid('pix', false);
    shop.note('orders', 'out_of_stock', false);
    for (const outcome of ['expired', 'cancelled', 'failed']) shop.note('payments', `pix ${outcome}`, false);
  }

  function notePaid(method: 'card' | 'pix', isSure: boolean): void {
    shop.note('orders', 'paid', isSure);
    shop.note('payments', `${method} approved`, isSure);
  }

  function noteDeclined(isSure: boolean): void {
    shop.note('orders', 'declined', isSure);
    shop.note('payments', 'card declined', isSure);
  }

  return { visit, buy, tour };
}

function randomPlan(): Plan {
  return { mistypes: happens(MISTYPES), payments: randomPayments() };
}

function randomPayments(): Payment[] {
  if (happens(PAYS_BY_PIX)) return [happens(LETS_PIX_EXPIRE) ? 'expired pix' : 'pix'];
  if (!happens(IS_DECLINED)) return ['card'];
  return happens(TRIES_ANOTHER_CARD) ? ['declined card', 'card'] : ['declined card'];
}

function methodOf(payment: Payment): 'card' | 'pix' {
  return payment === 'card' || payment === 'declined card' ? 'card' : 'pix';
}

function entriesOn({ body }: Answer, payment: Payment) {
  return entriesOf(payment, inputOf(body, 'cart'), inputOf(body, 'total_cents'));
}

/** True with this probability, 0 to 1. */
function happens(probability: number): boolean {
  return Math.random() < probability;
}

/** A whole number from `low` to `high`, both included. */
function between(low: number, high: number): number {
  return low + Math.floor(Math.random() * (high - low + 1));
}

/** One of the products, popular ones more often; undefined when there are none. */
function popularOf(ids: readonly number[]): number | undefined {
  return pickBy(ids, popularity, Math.random);
}

function oneOf<T>(items: readonly T[]): T | undefined {
  return pick(items, Math.random);
}
