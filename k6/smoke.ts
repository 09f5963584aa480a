/**
 * Plays a shopper's whole journey and checks each step. Once, or as often as the command line says:
 *
 *     k6 run k6/smoke.ts
 *     k6 run -e BASE_URL=http://127.0.0.1:5000 --vus 10 --iterations 100 k6/smoke.ts
 *
 * Each journey is a new shopper who sends six forms and buys one unit: stock falls and an order is made. Above
 * 20 journeys a minute, run the shop with RATE_LIMIT=off.
 */
import type { Options } from 'k6/options';
import { APPROVED_CARD, checkoutForm, DECLINED_CARD } from './lib/checkout.ts';
import { get, holds, idsOf, oneOf, type Page, post } from './lib/shop.ts';

export const options: Options = {
  thresholds: {
    checks: ['rate==1'],
    http_req_failed: ['rate==0'],
    http_req_duration: ['p(95)<500'],
  },
};

export default function journey(): void {
  search();
  const [wanted, other] = choose();
  fillCart(wanted, other);
  buy();
}

/** Searches for products that exist and for one that does not. */
function search(): void {
  const found = get('/shop?q=mochila', 'GET /shop?q');
  holds(found, 'a search for backpacks finds some', (page) => idsOf(page, 'href', '/detail/').length > 0);
  const none = get('/shop?q=nadaparecidocomisto', 'GET /shop?q');
  holds(none, 'a search for nonsense finds nothing', (page) => productsOf(page).length === 0);
}

/** Opens the home page, the list and a product. Returns that product and another one. */
function choose(): [string, string] {
  holds(get('/', 'GET /'), 'the home page shows products', (page) => idsOf(page, 'href', '/detail/').length > 0);

  const offered = plentyOf(get(`/shop?page=${oneOf(['1', '2'], 'page')}`, 'GET /shop?page'));
  const wanted = oneOf(offered, 'product with plenty in stock');
  const other = oneOf(
    offered.filter((id) => id !== wanted),
    'second product with plenty in stock',
  );

  const product = get(`/detail/${wanted}`, 'GET /detail/:id');
  holds(product, 'the product can be added to the cart', (page) => productsOf(page).includes(wanted));
  return [wanted, other];
}

/** Adds two products, changes the quantity of one and removes the other. */
function fillCart(wanted: string, other: string): void {
  post(`/add_to_cart/${wanted}`, 'POST /add_to_cart/:id', { quantity: '2' });
  post(`/add_to_cart/${other}`, 'POST /add_to_cart/:id', { quantity: '1' });
  const filled = get('/cart', 'GET /cart');
  holds(filled, 'the cart holds both products', (page) => itemsOf(page).length === 2);

  const [kept, dropped] = itemsOf(filled);
  post(`/update_quantity/${kept}`, 'POST /update_quantity/:item', { quantity: '1' });
  post(`/remove_item/${dropped}`, 'POST /remove_item/:item', {});
  const changed = get('/cart', 'GET /cart');
  holds(changed, 'the cart holds one unit of one product', (page) => {
    const quantities = page.html('form[action^="/update_quantity/"] input[name="quantity"]').toArray();
    return quantities.length === 1 && quantities[0]?.attr('value') === '1';
  });
}

/** A declined card keeps the cart. An approved card makes the order. */
function buy(): void {
  const checkout = get('/checkout', 'GET /checkout');
  const cart = checkout.html('input[name="cart"]').attr('value') ?? '';

  const declined = post('/checkout', 'POST /checkout (declined)', checkoutForm(cart, DECLINED_CARD), 422);
  holds(declined, 'the card is not shown again', (page) => !page.body.includes(DECLINED_CARD));
  holds(get('/cart', 'GET /cart'), 'a declined card keeps the cart', (page) => itemsOf(page).length === 1);

  const confirmation = post('/checkout', 'POST /checkout', checkoutForm(cart, APPROVED_CARD));
  holds(confirmation, 'the order is confirmed', (page) => /\/order_confirmation\/[\w-]+$/.test(page.url));
  holds(get('/cart', 'GET /cart'), 'the cart is empty after the order', (page) => itemsOf(page).length === 0);
}

/** Ids of the products in stock on the page. */
function productsOf(page: Page): string[] {
  return idsOf(page, 'action', '/add_to_cart/');
}

/** The same without last units: another shopper may buy them first, and a conflict is no fault of the shop. */
function plentyOf(page: Page): string[] {
  return idsOf(page, 'action', '/add_to_cart/', '.card:not(:has(.stock--low))');
}

/** Ids of the cart's items. */
function itemsOf(page: Page): string[] {
  return idsOf(page, 'action', '/update_quantity/');
}
