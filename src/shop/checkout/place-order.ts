import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Knex } from 'knex';
import { isLockTimeout, isUnanswered } from '../../db/index.ts';
import { PAGE_MS, SHORT_LOCK_WAIT_MS } from '../../deadlines.ts';
import { recordPayment } from '../../instrument/request-clock.ts';
import { type Card, MAX_AMOUNT_CENTS } from '../../payments/gateway.ts';
import { type NewPayment, noteAnswer, startPayment } from '../../payments/ledger.ts';
import { settle } from '../../payments/settle.ts';
import { type Cart, type CartItem, sumUp } from '../cart/cart.ts';
import { unavailable } from '../errors.ts';
import type { Shop } from '../route.ts';
import type { Customer } from './form.ts';
import {
  countOrder,
  FAILED,
  newOrderNumber,
  type OutOfStock,
  type PaidOrder,
  type Phases,
  type PlacedOrder,
} from './order.ts';
import { pay } from './pay.ts';
import {
  findCart,
  findNumberOfCart,
  findRecentNumber,
  keepForLater,
  lockForOrder,
  type Reservation,
  storeOrder,
} from './queries.ts';

export interface Purchase {
  sessionId: string;
  /** The cart that the form was shown for; null from a client that doesn't send it, which means the open one. */
  cartId: string | null;
  /** The total that the form showed, in cents of BRL; null from a client that doesn't send it. */
  totalCents: number | null;
  customer: Customer;
  card: Card;
}

type Deps = Pick<Shop, 'database' | 'checkouts' | 'payments' | 'worker' | 'reports' | 'diskSpace' | 'log' | 'metrics'>;

/** How long a submit without a cart id still counts as a repetition of the one before. */
const REPEAT_MINUTES = 10;

const REPETITION_POLL_MS = 25;

/**
 * Turns a cart into a paid order. Counts how it ended.
 *
 * The payment is written down before the provider is asked, and the order is stored together with the payment's end, so
 * that the ledger shows at every moment which payments a death has left: see docs/operations.md, "Payments". No
 * connection and no lock is held while the provider answers. A repeated submit waits for the first and then finds its
 * order. If the last unit is sold meanwhile, the money is given back.
 *
 * @throws {ShopError} 503 when the payment provider fails, or keeps too many others waiting
 */
export async function placeOrder(shop: Deps, purchase: Purchase, phases: Phases): Promise<PlacedOrder> {
  phases.enter('reserve');
  const leave = await orCountFailed(shop, shop.checkouts.enter());
  try {
    const reserved = await orCountFailed(shop, reserve(shop, purchase));
    // From here on, the outcome is counted where it is known.
    if ('reference' in reserved) return await payAndStore(shop, purchase, reserved, phases);
    countOrder(shop.metrics, reserved);
    return reserved;
  } finally {
    leave();
  }
}

async function orCountFailed<T>({ metrics }: Deps, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    countOrder(metrics, FAILED);
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
        cause: new Error('the database has just refused a write for lack of disk space'),
      });
    }

    const reservation = { reference: `pay_${randomUUID()}`, cartId: found.id, cart };
    const payment = newPayment(reservation, shop.worker);
    if (shop.diskSpace.isInDoubt() && !isRehearsed) {
      await rehearse(shop, purchase, reservation);
      isRehearsed = true;
    }
    let started: boolean;
    try {
      started = await startPayment(database, payment);
    } catch (error) {
      if (isUnanswered(error)) {
        void settle(shop, payment);
        // The caller counts it now.
        shop.reports.orderCounted(payment.reference);
      }
      throw error;
    }
    if (started) return reservation;
    await waitForOther(startedMs);
  }
}

function newPayment({ reference, cartId, cart }: Reservation, worker: string): NewPayment {
  return { reference, cartId, amountCents: cart.totalCents, worker };
}

/**
 * Writes the payment and the order and takes both back, so that no payment is asked for whose order has no room.
 *
 * @throws when PostgreSQL refuses a write
 */
async function rehearse(
  { database, worker }: Deps,
  { sessionId, customer }: Purchase,
  reservation: Reservation,
): Promise<void> {
  const transaction = await database.transaction();
  try {
    // Changes since the cart was read are noticed when the payment is started, or when the order is stored.
    if (!(await startPayment(transaction, newPayment(reservation, worker)))) return;
    const stock = await lockForOrder(transaction, reservation, 0);
    if (!stock || lackingNow(reservation.cart, stock).length > 0) return;
    await storeOrder(transaction, { ...reservation, number: newOrderNumber(), sessionId, customer });
  } finally {
    await transaction.rollback();
  }
}

/** Waits while another submit of the cart is being paid: a wait for the payment provider. */
async function waitForOther(startedMs: number): Promise<void> {
  if (performance.now() - startedMs > PAGE_MS) {
    const cause = new Error(`another submit of the cart was not done in ${PAGE_MS} ms`);
    throw unavailable('overload', { cause });
  }
  await delay(REPETITION_POLL_MS);
  recordPayment(REPETITION_POLL_MS / 1000);
}

/** Without an open cart, a submit is either a repetition or has nothing to order. */
async function previousOrder({ database }: Deps, { sessionId, cartId }: Purchase): Promise<PlacedOrder> {
  return repeated(cartId === null ? await findRecentNumber(database, sessionId, REPEAT_MINUTES) : null);
}

function repeated(number: string | null): PlacedOrder {
  return number === null ? { outcome: 'empty' } : { outcome: 'repeated', number };
}

/** From here on money may have moved: if anything fails, the payment is settled. */
async function payAndStore(
  shop: Deps,
  { sessionId, customer, card }: Purchase,
  reservation: Reservation,
  phases: Phases,
): Promise<PlacedOrder> {
  const { database, payments, metrics } = shop;
  const { reference, cartId, cart } = reservation;
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
      // It may take long now, so the ledger notes the approval; otherwise that would be a round trip for nothing.
      await note('approved');
      await store(paid, 0);
    }
    return counted(paid);
  } catch (error) {
    const settled = settle(shop, { cartId, reference });
    if (error instanceof CommitFailed) {
      // Only the settling finds out whether the order was made.
      void settled.then((made) => (made ? countOrder(metrics, error.paid) : countUnsettled(FAILED)));
      throw error.cause;
    }
    const soldOut = error instanceof JustSold ? ({ outcome: 'out_of_stock', lacking: error.lacking } as const) : null;
    countUnsettled(soldOut ?? FAILED);
    if (soldOut) return soldOut;
    throw error;
  }

  async function note(answer: 'approved' | 'declined'): Promise<void> {
    if (!(await noteAnswer(database, reference, answer))) throw givenUpMeanwhile();
  }

  /** @throws {CommitFailed} when all was written, and the order may have been stored in spite of the error */
  async function store(paid: PaidOrder, lockTimeoutMs: number): Promise<void> {
    let isWritten = false;
    try {
      await database.transaction(async (transaction) => {
        await write(transaction, paid, lockTimeoutMs);
        isWritten = true;
      });
    } catch (error) {
      // A lock timeout has rolled the order back, even at its commit: triggers run there.
      throw isWritten && !isLockTimeout(error) ? new CommitFailed(paid, error) : error;
    }
  }

  async function write(transaction: Knex.Transaction, paid: PaidOrder, lockTimeoutMs: number): Promise<void> {
    const stock = await lockForOrder(transaction, reservation, lockTimeoutMs);
    if (!stock) throw givenUpMeanwhile();
    const justSold = lackingNow(cart, stock);
    if (justSold.length > 0) throw new JustSold(justSold);
    const added = await storeOrder(transaction, { ...reservation, number: paid.number, sessionId, customer });
    if (added.length > 0) await keepForLater(transaction, sessionId, added);
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

/** The commit of an order has failed, or its answer was lost. */
class CommitFailed extends Error {
  readonly paid: PaidOrder;

  constructor(paid: PaidOrder, cause: unknown) {
    super('the commit of an order failed', { cause });
    this.paid = paid;
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

/** This process was paused for so long that a primary has settled its payment. */
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
