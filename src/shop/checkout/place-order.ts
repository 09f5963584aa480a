import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Knex } from 'knex';
import { isLockTimeout, isUnanswered } from '../../db/index.ts';
import { PAGE_MS } from '../../deadlines.ts';
import type { PaymentOutcome } from '../../instrument/label-values.ts';
import { duringWait } from '../../instrument/request-clock.ts';
import { MAX_AMOUNT_CENTS } from '../../payments/gateway.ts';
import { noteAnswer } from '../../payments/ledger.ts';
import { settle } from '../../payments/settle.ts';
import { type Cart, type CartItem, sumUp } from '../cart/cart.ts';
import { unavailable } from '../errors.ts';
import { leastTotalCents } from '../money.ts';
import type { Shop } from '../route.ts';
import type { ChosenPayment, Customer } from './form.ts';
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
import { chargeCart, keepOrReplace } from './pix.ts';
import type { CheckoutPlace } from './places.ts';
import {
  type FoundCart,
  findNumberOfCart,
  findRecentNumber,
  type NewOrder,
  type Reservation,
  reserveCart,
  type StoredOrder,
  storeOrder,
} from './queries.ts';

export interface Purchase {
  sessionId: string;
  /** The cart that the form was shown for; null from a client that doesn't send it, which means the open one. */
  cartId: string | null;
  /** The total that the form showed, in cents of BRL; null from a client that doesn't send it. */
  totalCents: number | null;
  customer: Customer;
  payment: ChosenPayment;
}

type Deps = Pick<
  Shop,
  'database' | 'checkouts' | 'checkoutStatements' | 'payments' | 'worker' | 'reports' | 'diskSpace' | 'log' | 'metrics'
>;

/** How long a submit without a cart id still counts as a repetition of the one before. */
const REPEAT_MINUTES = 10;

const REPETITION_POLL_MS = 25;

/**
 * Turns a cart into a paid order. Counts how it ended.
 *
 * The payment is written down before the provider is asked, and the order is stored together with the payment's end, so
 * that the ledger shows at every moment which payments a death has left: see docs/operations.md, "Payments". No
 * connection and no lock is held while the provider answers. A repeated submit waits for the first and then finds its
 * order. A Pix is only charged here: its order is made when it is paid, see `followPix`. If the last unit is sold
 * meanwhile, the money is given back.
 *
 * @throws {ShopError} 503 when the payment provider fails, or keeps too many others waiting
 */
export async function placeOrder(shop: Deps, purchase: Purchase, phases: Phases): Promise<PlacedOrder> {
  phases.enter('reserve');
  const place = await orCountFailed(shop, shop.checkouts.enter());
  try {
    const reserved = await orCountFailed(shop, reserve(shop, place, purchase));
    // From here on, the outcome is counted where it is known.
    if (!('outcome' in reserved)) {
      const { payment } = purchase;
      return await (payment.method === 'pix'
        ? chargeCart(shop, purchase, reserved, phases)
        : payAndStore(shop, purchase, payment, reserved, phases));
    }
    countOrder(shop.metrics, reserved);
    return reserved;
  } finally {
    place.leave();
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
async function reserve(
  shop: Deps,
  { lineEndsMs }: CheckoutPlace,
  purchase: Purchase,
): Promise<Reservation | PlacedOrder> {
  const { database, diskSpace } = shop;
  const startedMs = performance.now();
  let untilMs = lineEndsMs;
  let isRehearsed = false;
  for (;;) {
    const reference = `pay_${randomUUID()}`;
    const mayStart = !diskSpace.isLacking() && (isRehearsed || !diskSpace.isInDoubt());
    const found = await (mayStart
      ? startPayment(shop, purchase, reference, untilMs)
      : shop.checkouts.reserve(untilMs, () => readCart(database, purchase)));
    untilMs = startedMs + PAGE_MS;
    if (!found) return previousOrder(shop, purchase);
    const reservation = { reference, cartId: found.id, cart: sumUp(found.items) };
    if (found.started) return reservation;
    if (found.ordered) return repeated(await findNumberOfCart(database, found.id));
    const refusal = refusalOf(reservation.cart, purchase);
    if (refusal) return refusal;
    const charged = await keepOrReplace(shop, purchase, reservation, purchase.payment.method);
    if (charged) return charged;
    if (mayStart) {
      await waitForOther(startedMs);
      continue;
    }
    if (diskSpace.isLacking()) {
      throw unavailable('database', {
        cause: new Error('the database has just refused a write for lack of disk space'),
      });
    }
    await shop.checkouts.reserve(untilMs, () => rehearse(shop, purchase, reservation));
    isRehearsed = true;
  }
}

function readCart(database: Knex, { sessionId, cartId }: Purchase): Promise<FoundCart | null> {
  return reserveCart(database, { sessionId, cartId, start: null });
}

async function startPayment(
  shop: Deps,
  { sessionId, cartId, totalCents, payment: { method, installments } }: Purchase,
  reference: string,
  untilMs: number,
): Promise<FoundCart | null> {
  const start = { reference, worker: shop.worker, method, totalCents, installments };
  try {
    return await shop.checkoutStatements.reserveCart({ sessionId, cartId, start }, untilMs);
  } catch (error) {
    if (isUnanswered(error)) {
      void settle(shop, { cartId, reference });
      // The caller counts it now.
      shop.reports.orderCounted(reference);
    }
    throw error;
  }
}

/** Why no payment is started for a cart; null while another one is under way. */
function refusalOf(cart: Cart, { totalCents, payment: { installments } }: Purchase): PlacedOrder | null {
  if (cart.items.length === 0) return { outcome: 'empty' };
  const soldOut = lacking(cart, (item) => item.product.stock);
  if (soldOut.length > 0) return { outcome: 'out_of_stock', lacking: soldOut };
  if (cart.totalCents > MAX_AMOUNT_CENTS) return { outcome: 'too_expensive' };
  const isChanged = totalCents !== null && totalCents !== cart.totalCents;
  if (isChanged) return { outcome: 'total_changed', totalCents: cart.totalCents };
  const isTooLittle = cart.totalCents < leastTotalCents(installments);
  return isTooLittle ? { outcome: 'too_many_installments', totalCents: cart.totalCents } : null;
}

/**
 * Writes the payment and the order and takes both back, so that no payment is asked for whose order has no room.
 *
 * @throws when PostgreSQL refuses a write
 */
async function rehearse(
  { database, worker }: Deps,
  { sessionId, customer, totalCents, payment: { method, installments } }: Purchase,
  { reference, cartId }: Reservation,
): Promise<void> {
  const transaction = await database.transaction();
  try {
    // Changes since the cart was read are noticed when the payment is started, or when the order is stored.
    const start = { reference, worker, method, totalCents, installments };
    const found = await reserveCart(transaction, { sessionId, cartId, start });
    if (!found?.started) return;
    const cart = sumUp(found.items);
    const order = { reference, cartId, cart, number: newOrderNumber(), sessionId, customer, installments };
    await storeOrder(transaction, order, 0);
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
  await duringWait('payment', () => delay(REPETITION_POLL_MS));
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
  { sessionId, customer }: Purchase,
  { card, installments }: Extract<ChosenPayment, { method: 'card' }>,
  reservation: Reservation,
  phases: Phases,
): Promise<PlacedOrder> {
  const { database, metrics } = shop;
  const { reference, cartId, cart } = reservation;
  const order: NewOrder = { ...reservation, number: newOrderNumber(), sessionId, customer, installments };
  const paid: PaidOrder = { outcome: 'paid', number: order.number, cart, lateUnits: 0 };
  /** How the payment ends if nothing more succeeds. */
  let paymentOutcome: PaymentOutcome = 'failed';
  try {
    phases.enter('payment');
    const { approved } = await pay(shop, { reference, amountCents: cart.totalCents, card, installments });
    phases.enter('commit');
    if (!approved) {
      paymentOutcome = 'declined';
      await note('declined');
      return counted({ outcome: 'declined' });
    }
    paymentOutcome = 'cancelled';
    try {
      paid.lateUnits = await stored(shop.checkoutStatements.storeOrder(order));
    } catch (error) {
      if (!isLockTimeout(error)) throw error;
      // It may take long now, so the ledger notes the approval; otherwise that would be a round trip for nothing.
      await note('approved');
      // In a transaction, the server itself ends a statement that waits for too long.
      paid.lateUnits = await stored(
        shop.checkouts.commitPatiently(() => database.transaction((transaction) => storeOrder(transaction, order, 0))),
      );
    }
    paymentOutcome = 'approved';
    return counted(paid);
  } catch (error) {
    const settled = settle(shop, { cartId, reference });
    if (error instanceof OrderInDoubt) {
      // Only the settling finds out whether the order was made.
      void settled.then((made) => {
        if (!made) return countUnsettled(FAILED);
        paymentOutcome = 'approved';
        counted(paid);
      });
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

  /**
   * @returns the late units
   * @throws {OrderInDoubt} when the answer was lost
   */
  async function stored(attempt: Promise<StoredOrder>): Promise<number> {
    const result = await attempt.catch((error: unknown) => {
      throw isUnanswered(error) ? new OrderInDoubt(error) : error;
    });
    if (result.stored) return result.lateUnits;
    if (!result.stock) throw givenUpMeanwhile();
    throw new JustSold(lackingNow(cart, result.stock));
  }

  function counted(placed: PlacedOrder): PlacedOrder {
    count(placed);
    return placed;
  }

  function countUnsettled(placed: OutOfStock | typeof FAILED): void {
    count(placed);
    shop.reports.orderCounted(reference);
  }

  function count(placed: PlacedOrder | typeof FAILED): void {
    countOrder(metrics, placed);
    metrics.payments.inc({ method: 'card', outcome: paymentOutcome });
  }
}

/** The answer was lost when an order was stored. */
class OrderInDoubt extends Error {
  constructor(cause: unknown) {
    super('the database has not said whether it has stored an order', { cause });
  }
}

/** The order was not stored. */
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
