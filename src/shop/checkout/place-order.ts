import type { Knex } from 'knex';
import { findCartItems } from '../cart/queries.ts';
import { sumUp } from '../cart/rules.ts';
import type { Card } from '../payment/gateway.ts';
import type { Shop } from '../route.ts';
import type { CartItemView, CartView } from '../views.ts';
import { countOrder, FAILED } from './count-order.ts';
import type { Customer } from './form.ts';
import { newOrderNumber } from './order-number.ts';
import { pay } from './pay.ts';
import type { Phases } from './phases.ts';
import { findNumberOfCart, findRecentNumber, lockCart, lockStock, storeOrder, takeStock } from './queries.ts';
import { settle, type Unsettled } from './settle.ts';

export interface Purchase {
  sessionId: string;
  /** The cart that the form was shown for; null from a client that doesn't say, which means the open one. */
  cartId: string | null;
  customer: Customer;
  card: Card;
}

export interface PaidOrder {
  outcome: 'paid';
  number: string;
  cart: CartView;
}

export type PlacedOrder =
  | PaidOrder
  /** This cart, or what was the open cart a moment ago, has its order already. */
  | { outcome: 'repeated'; number: string }
  | { outcome: 'empty' }
  | { outcome: 'declined' }
  | { outcome: 'out_of_stock'; lacking: CartItemView[] };

/** How long a submit without a cart id still counts as a repetition of the one before. */
const REPEAT_MINUTES = 10;

/** How far an attempt to order has come, for whoever finds it failed. */
interface Progress {
  /** Approved, so it has to be given back unless the order is made. */
  payment?: Unsettled;
  /** All is written, and nothing but the commit can fail. */
  written?: PaidOrder;
}

/**
 * Turns a cart into a paid order, in one transaction: all of it or nothing. Counts how it ended.
 *
 * The cart is held from beginning to end, so a repeated submit waits for the first and then finds its order. The
 * products are held only after the payment, and money is given back only when nothing is held any more: the provider's
 * slowness must not queue up everyone who wants the same product, where it would look like a slow database. Whoever
 * loses the last unit in that moment gets the money back.
 *
 * @throws {ShopError} 503 when the payment provider fails, or keeps too many others waiting
 */
export async function placeOrder(
  shop: Pick<Shop, 'database' | 'checkouts' | 'payments' | 'log' | 'metrics'>,
  purchase: Purchase,
  phases: Phases,
): Promise<PlacedOrder> {
  const progress: Progress = {};
  try {
    phases.enter('reserve');
    const placed = await shop.checkouts.run(() =>
      shop.database.transaction((transaction) => placeWithin(transaction, shop, purchase, phases, progress)),
    );
    if (progress.payment && placed.outcome !== 'paid') void settle(shop, progress.payment);
    countOrder(shop.metrics, placed);
    return placed;
  } catch (error) {
    const { payment, written } = progress;
    const settled = payment && settle(shop, payment);
    // Whether it was made is known only then.
    if (settled && written) void settled.then((made) => countOrder(shop.metrics, made ? written : FAILED));
    else countOrder(shop.metrics, FAILED);
    throw error;
  }
}

/** @param progress is kept up to date */
async function placeWithin(
  transaction: Knex.Transaction,
  shop: Pick<Shop, 'database' | 'payments' | 'log'>,
  purchase: Purchase,
  phases: Phases,
  progress: Progress,
): Promise<PlacedOrder> {
  const { sessionId, customer, card } = purchase;
  const held = await lockCart(transaction, sessionId, purchase.cartId);
  if (!held) return previousOrder(transaction, purchase);
  if (held.ordered) return repeated(await findNumberOfCart(transaction, held.id));

  const cart = sumUp(await findCartItems(transaction, held.id));
  if (cart.items.length === 0) return { outcome: 'empty' };
  const soldOut = lacking(cart, (item) => item.product.stock);
  if (soldOut.length > 0) return { outcome: 'out_of_stock', lacking: soldOut };

  phases.enter('payment');
  const payment = await pay(shop.payments, cart.totalCents, card, (reference) => {
    void settle(shop, { cartId: held.id, reference });
  });
  if (!payment.approved) return { outcome: 'declined' };
  progress.payment = { cartId: held.id, reference: payment.reference };

  phases.enter('commit');
  const stock = await lockStock(transaction, productIds(cart));
  const justSold = lacking(cart, (item) => stock.get(item.product.id) ?? 0);
  if (justSold.length > 0) return { outcome: 'out_of_stock', lacking: justSold };
  const number = newOrderNumber();
  await takeStock(transaction, held.id);
  const paymentReference = payment.reference;
  await storeOrder(transaction, { number, cartId: held.id, sessionId, cart, customer, paymentReference });
  progress.written = { outcome: 'paid', number, cart };
  return progress.written;
}

/** Without an open cart, a submit is either the same one again or has nothing to order. */
async function previousOrder(transaction: Knex.Transaction, { sessionId, cartId }: Purchase): Promise<PlacedOrder> {
  return repeated(cartId === null ? await findRecentNumber(transaction, sessionId, REPEAT_MINUTES) : null);
}

function repeated(number: string | null): PlacedOrder {
  return number === null ? { outcome: 'empty' } : { outcome: 'repeated', number };
}

function lacking(cart: CartView, stockOf: (item: CartItemView) => number): CartItemView[] {
  return cart.items
    .filter((item) => stockOf(item) < item.quantity)
    .map((item) => ({ ...item, product: { ...item.product, stock: stockOf(item) } }));
}

function productIds(cart: CartView): number[] {
  return cart.items.map((item) => item.product.id);
}
