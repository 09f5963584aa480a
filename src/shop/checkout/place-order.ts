import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { isLockTimeout, isUnanswered } from '../../db/index.ts';
import { recordPayment } from '../../instrument/request-clock.ts';
import { type Card, MAX_AMOUNT_CENTS } from '../../payments/gateway.ts';
import { noteAnswer, startPayment } from '../../payments/ledger.ts';
import { settle } from '../../payments/settle.ts';
import { type Cart, type CartItem, sumUp } from '../cart/cart.ts';
import { unavailable } from '../errors.ts';
import type { Shop } from '../route.ts';
import type { Customer } from './form.ts';
import { countOrder, FAILED, newOrderNumber } from './order.ts';
import { pay } from './pay.ts';
import type { Phases } from './phases.ts';
import {
  findCart,
  findNumberOfCart,
  findRecentNumber,
  keepForLater,
  lockForOrder,
  lockForRehearsal,
  type Reservation,
  storeOrder,
} from './queries.ts';

export interface Purchase {
  sessionId: string;
  /** The cart that the form was shown for; null from a client that doesn't say, which means the open one. */
  cartId: string | null;
  /** What the form showed, in cents of BRL; null from a client that doesn't say. */
  totalCents: number | null;
  customer: Customer;
  card: Card;
}

export interface PaidOrder {
  outcome: 'paid';
  number: string;
  cart: Cart;
}

export interface OutOfStock {
  outcome: 'out_of_stock';
  lacking: CartItem[];
}

export type PlacedOrder =
  | PaidOrder
  | OutOfStock
  /** This cart, or what was the open cart a moment ago, has its order already. */
  | { outcome: 'repeated'; number: string }
  | { outcome: 'empty' }
  | { outcome: 'declined' }
  /** Prices or the cart have changed since the form was shown. */
  | { outcome: 'total_changed'; totalCents: number }
  | { outcome: 'too_expensive' };

type Deps = Pick<Shop, 'database' | 'checkouts' | 'payments' | 'worker' | 'reports' | 'diskSpace' | 'log' | 'metrics'>;

/** How long a submit without a cart id still counts as a repetition of the one before. */
const REPEAT_MINUTES = 10;

/** Orders of one product follow each other faster; who waits for longer waits for something else. */
const SHORT_LOCK_WAIT_MS = 100;

/** As long as a page is waited for. */
const REPETITION_DEADLINE_MS = 2_000;
const REPETITION_POLL_MS = 25;

/**
 * Turns a cart into a paid order. Counts how it ended.
 *
 * The payment is written down before the provider is asked, and the order is stored together with the payment's end, so
 * that at every moment the ledger tells what a death leaves: see docs/operations.md, "Payments". No connection
 * and no lock is held while the provider answers. A repeated submit waits for the first and then finds its order. If
 * the last unit is lost in that moment, the money is given back.
 *
 * @throws {ShopError} 503 when the payment provider fails, or keeps too many others waiting
 */
export async function placeOrder(shop: Deps, purchase: Purchase, phases: Phases): Promise<PlacedOrder> {
  phases.enter('reserve');
  /** From then on it is counted where it fails. */
  let paying = false;
  try {
    return await shop.checkouts.run(async () => {
      const reserved = await reserve(shop, purchase);
      if ('reference' in reserved) {
        paying = true;
        return payAndStore(shop, purchase, reserved, phases);
      }
      countOrder(shop.metrics, reserved);
      return reserved;
    });
  } catch (error) {
    if (!paying) countOrder(shop.metrics, FAILED);
    throw error;
  }
}

/** Checks everything that can be checked, and writes the payment down. */
async function reserve(shop: Deps, purchase: Purchase): Promise<Reservation | PlacedOrder> {
  const { database } = shop;
  const startedMs = performance.now();
  let isRehearsed = false;
  for (;;) {
    const found = await findCart(database, purchase.sessionId, purchase.cartId);
    if (!found) return previousOrder(shop, purchase);
    if (found.ordered) return repeated(await findNumberOfCart(database, found.id));
    const cart = sumUp(found.items);
    if (cart.items.length === 0) return { outcome: 'empty' };
    const soldOut = lacking(cart, (item) => item.product.stock);
    if (soldOut.length > 0) return { outcome: 'out_of_stock', lacking: soldOut };
    const { totalCents } = cart;
    if (totalCents > MAX_AMOUNT_CENTS) return { outcome: 'too_expensive' };
    if (purchase.totalCents !== null && purchase.totalCents !== totalCents) {
      return { outcome: 'total_changed', totalCents };
    }
    if (shop.diskSpace.isLacking()) {
      throw unavailable('database', {
        cause: new Error('the database has just refused a write for want of disk space'),
      });
    }

    const reference = `pay_${randomUUID()}`;
    if (shop.diskSpace.isInDoubt() && !isRehearsed) {
      await rehearse(shop, purchase, { reference, cartId: found.id, cart });
      isRehearsed = true;
    }
    const payment = { reference, cartId: found.id, amountCents: totalCents, worker: shop.worker };
    let started: boolean;
    try {
      started = await startPayment(database, payment);
    } catch (error) {
      if (isUnanswered(error)) {
        void settle(shop, payment);
        // By the caller.
        shop.reports.orderCounted(reference);
      }
      throw error;
    }
    if (started) return { reference, cartId: found.id, cart };
    await waitForOther(startedMs);
  }
}

/**
 * Stores the order and takes it back, so that no payment is asked for whose order has no room.
 *
 * @throws what PostgreSQL refuses
 */
async function rehearse({ database }: Deps, { sessionId, customer }: Purchase, reserved: Reservation): Promise<void> {
  const transaction = await database.transaction();
  try {
    const stock = await lockForRehearsal(transaction, reserved);
    // What has changed meanwhile is noticed when the payment is started, or when the order is stored.
    if (!stock || lackingNow(reserved.cart, stock).length > 0) return;
    await storeOrder(transaction, { ...reserved, number: newOrderNumber(), sessionId, customer });
  } finally {
    await transaction.rollback();
  }
}

/** Another submit of the cart is being paid: what it waits for is the payment provider. */
async function waitForOther(startedMs: number): Promise<void> {
  if (performance.now() - startedMs > REPETITION_DEADLINE_MS) {
    const cause = new Error(`another submit of the cart was not done in ${REPETITION_DEADLINE_MS} ms`);
    throw unavailable('overload', { cause });
  }
  await delay(REPETITION_POLL_MS);
  recordPayment(REPETITION_POLL_MS / 1000);
}

/** Without an open cart, a submit is either the same one again or has nothing to order. */
async function previousOrder({ database }: Deps, { sessionId, cartId }: Purchase): Promise<PlacedOrder> {
  return repeated(cartId === null ? await findRecentNumber(database, sessionId, REPEAT_MINUTES) : null);
}

function repeated(number: string | null): PlacedOrder {
  return number === null ? { outcome: 'empty' } : { outcome: 'repeated', number };
}

/** From here on money may have moved, so whatever fails, the payment is settled. */
async function payAndStore(
  shop: Deps,
  { sessionId, customer, card }: Purchase,
  reservation: Reservation,
  phases: Phases,
): Promise<PlacedOrder> {
  const { database, payments, metrics } = shop;
  const { reference, cartId, cart } = reservation;
  /** All is written, and nothing but the commit can fail. */
  let written: PaidOrder | undefined;
  try {
    phases.enter('payment');
    const { approved } = await pay(payments, { reference, amountCents: cart.totalCents, card });
    phases.enter('commit');
    if (!approved) {
      await note('declined');
      return counted({ outcome: 'declined' });
    }
    const paid: PaidOrder = { outcome: 'paid', number: newOrderNumber(), cart };
    try {
      await store(paid, SHORT_LOCK_WAIT_MS);
    } catch (error) {
      if (!isLockTimeout(error)) throw error;
      // It may take long now, so the ledger says how far it is. Otherwise this is a round trip for nothing.
      await note('approved');
      await store(paid, 0);
    }
    return counted(paid);
  } catch (error) {
    const settled = settle(shop, { cartId, reference });
    const soldOut = error instanceof JustSold ? ({ outcome: 'out_of_stock', lacking: error.lacking } as const) : null;
    const order = written;
    // Whether it was made is known only then.
    if (order) void settled.then((made) => (made ? countOrder(metrics, order) : countUnsettled(FAILED)));
    else countUnsettled(soldOut ?? FAILED);
    if (soldOut) return soldOut;
    throw error;
  }

  async function note(answer: 'approved' | 'declined'): Promise<void> {
    if (!(await noteAnswer(database, reference, answer))) throw givenUpMeanwhile();
  }

  async function store(paid: PaidOrder, lockTimeoutMs: number): Promise<void> {
    await database.transaction(async (transaction) => {
      const stock = await lockForOrder(transaction, reservation, lockTimeoutMs);
      if (!stock) throw givenUpMeanwhile();
      const justSold = lackingNow(cart, stock);
      if (justSold.length > 0) throw new JustSold(justSold);
      const added = await storeOrder(transaction, { ...reservation, number: paid.number, sessionId, customer });
      if (added.length > 0) await keepForLater(transaction, sessionId, added);
      written = paid;
    });
  }

  function counted(placed: PlacedOrder): PlacedOrder {
    countOrder(metrics, placed);
    return placed;
  }

  function countUnsettled(placed: OutOfStock | typeof FAILED): void {
    countOrder(metrics, placed);
    shop.reports.orderCounted(reference);
  }
}

/** Rolls the order back. */
class JustSold extends Error {
  readonly lacking: CartItem[];

  constructor(lacking: CartItem[]) {
    super('sold out while the payment was asked for');
    this.lacking = lacking;
  }
}

/** This process stood still for so long that a primary has settled its payment. */
function givenUpMeanwhile(): Error {
  return unavailable('overload', { cause: new Error('the payment took so long that it was given up') });
}

function lacking(cart: Cart, stockOf: (item: CartItem) => number): CartItem[] {
  return cart.items
    .filter((item) => stockOf(item) < item.quantity)
    .map((item) => ({ ...item, product: { ...item.product, stock: stockOf(item) } }));
}

/** @param stock by product id, as it is now */
function lackingNow(cart: Cart, stock: ReadonlyMap<number, number>): CartItem[] {
  return lacking(cart, ({ product }) => stock.get(product.id) ?? 0);
}
