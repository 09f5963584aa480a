import { setTimeout as delay } from 'node:timers/promises';
import { isDatabaseFailure, isLockTimeout, isUnanswered } from '../../db/index.ts';
import { SHORT_LOCK_WAIT_MS } from '../../deadlines.ts';
import type { PaymentOutcome } from '../../instrument/label-values.ts';
import type { PaymentMethod } from '../../payments/gateway.ts';
import { settle } from '../../payments/settle.ts';
import { unavailable } from '../errors.ts';
import type { RequestExemplar, Shop } from '../route.ts';
import type { Customer } from './form.ts';
import { countOrder, FAILED, newOrderNumber, type Phases, type PlacedOrder } from './order.ts';
import { charge, inShareOfTime } from './pay.ts';
import {
  endPix,
  findEnd,
  findOpenPix,
  openPix,
  type Pix,
  type PixEnd,
  storePixOrder,
  takeOpenPix,
} from './pix-queries.ts';
import { type OrderRecords, orderRecords, type Reservation, type StoredOrder } from './queries.ts';

type Deps = Pick<Shop, 'database' | 'checkouts' | 'payments' | 'worker' | 'reports' | 'log' | 'metrics'>;

const SECOND = 1000;
/** A charge whose page is open is followed by that page; this is for all others. */
const SWEEP_MS = 5 * SECOND;
/** Charges that are followed at a time. */
const BATCH = 20;
/** Between two questions how a commit ended. */
const RETRY_MS = 2 * SECOND;
/** A statement that was cut off is stored by then, or never: it has waited for all its locks, and for a slow disk. */
const IN_DOUBT_MS = 30 * SECOND;

/** The buyer of a charge. */
export interface Buyer {
  readonly sessionId: string;
  readonly customer: Customer;
}

type Charged = Extract<PlacedOrder, { outcome: 'charged' }>;

/**
 * Makes a charge by Pix for a cart whose payment is started. The charge is stored with all that its order needs, since
 * it is paid while no request waits, and after this worker's death too.
 *
 * @throws {ShopError} 503 when the payment provider fails; the charge is cancelled then
 */
export async function chargeCart(shop: Deps, buyer: Buyer, reservation: Reservation, phases: Phases): Promise<Charged> {
  const { database, payments, metrics, reports } = shop;
  const { reference, cartId, cart } = reservation;
  try {
    phases.enter('payment');
    const made = await charge(payments, { reference, amountCents: cart.totalCents });
    phases.enter('commit');
    if (!(await openPix(database, reference, made, pixRecords(buyer, reservation)))) {
      throw unavailable('overload', { cause: new Error('the charge took so long that it was given up') });
    }
    return { outcome: 'charged', reference };
  } catch (error) {
    const settled = settle(shop, { cartId, reference });
    // The charge may be open, and be followed by another worker before it is given up.
    if (isUnanswered(error)) void settled.then((made) => made || countFailed());
    else countFailed();
    throw error;
  }

  function countFailed(): void {
    countOrder(metrics, FAILED);
    metrics.payments.inc({ method: 'pix', outcome: 'failed' });
    reports.orderCounted(reference);
  }
}

/**
 * What becomes of a cart's open charge at another submit: the same order keeps it, any other order replaces it, also one
 * that is paid by card.
 *
 * @returns the charge that stays; null when there is none
 */
export async function keepOrReplace(
  shop: Deps,
  buyer: Buyer,
  reservation: Omit<Reservation, 'reference'>,
  method: PaymentMethod,
): Promise<Charged | null> {
  const open = await findOpenPix(shop.database, reservation.cartId, pixRecords(buyer, reservation));
  if (!open) return null;
  if (open.isSame && method === 'pix') return { outcome: 'charged', reference: open.reference };
  await endWithoutOrder(shop, open, 'replaced');
  return null;
}

/** By Pix, an order is paid at once. */
function pixRecords({ sessionId, customer }: Buyer, reservation: Omit<Reservation, 'reference'>): OrderRecords {
  return orderRecords({ ...reservation, sessionId, customer, installments: 1 });
}

/**
 * Asks the provider how an open charge stands. A paid one becomes an order, once, however many workers do so at a time.
 * One that has expired ends. If the goods were sold meanwhile, or the order can't be stored, the money is given back.
 *
 * @param exemplar leads to the request that asks
 * @returns whether it has ended, here or elsewhere
 * @throws when the provider or the database fails; nothing is lost then, and the next call goes on
 */
export async function followPix(shop: Deps, pix: Pix, exemplar?: RequestExemplar): Promise<boolean> {
  const state = await inShareOfTime(() => shop.payments.find(pix.reference));
  if (state === 'waiting') return false;
  if (state !== 'approved') {
    await endWithoutOrder(shop, pix, 'expired');
    return true;
  }
  const stored = await storeOnce(shop, pix, exemplar);
  if (stored.stored) countPaid(shop, pix);
  // Else the cart was ordered in another way, or the charge has ended just now.
  else await endWithoutOrder(shop, pix, stored.stock ? 'sold_out' : 'replaced');
  return true;
}

async function storeOnce(shop: Deps, pix: Pix, exemplar?: RequestExemplar): Promise<StoredOrder> {
  const { database, checkouts } = shop;
  const number = newOrderNumber();
  const endPhase = shop.metrics.checkoutPhaseDuration.startTimer({ phase: 'commit' }, exemplar);
  try {
    const store = () => storePixOrder(database, pix.reference, number, SHORT_LOCK_WAIT_MS);
    return await checkouts.commit(store).catch((error: unknown) => {
      if (!isLockTimeout(error)) throw error;
      // In a transaction, the server itself ends a statement that waits for too long.
      return checkouts.commitPatiently(() =>
        database.transaction((transaction) => storePixOrder(transaction, pix.reference, number, 0)),
      );
    });
  } catch (error) {
    if (isUnanswered(error)) void countIfStored(shop, pix, number);
    // The next attempt would fail alike.
    else if (!isDatabaseFailure(error)) await endWithoutOrder(shop, pix, 'failed');
    throw error;
  } finally {
    endPhase();
  }
}

/**
 * After a lost answer: counts the order if it has this number. Another number is counted by the worker that made it.
 * Asks again while the charge is open: the statement may still be waiting for a lock, and be stored later.
 */
async function countIfStored(shop: Deps, pix: Pix, number: string): Promise<void> {
  for (const untilMs = performance.now() + IN_DOUBT_MS; ; ) {
    try {
      const end = await findEnd(shop.database, pix.reference);
      if (end?.number === number) countPaid(shop, pix);
      if (!end?.isOpen || performance.now() > untilMs) return;
    } catch (error) {
      shop.log.debug({ paymentReference: pix.reference, err: error }, 'the end of a Pix is not known yet');
    }
    await delay(RETRY_MS, undefined, { ref: false });
  }
}

function countPaid({ metrics }: Deps, pix: Pix): void {
  const items = pix.items.map(({ product_slug, quantity }) => ({ product: { slug: product_slug }, quantity }));
  countOrder(metrics, { outcome: 'paid', cart: { items, totalCents: pix.amountCents } });
  countEnd(metrics, pix, 'approved');
}

function countEnd(metrics: Deps['metrics'], { ageSeconds }: Pix, outcome: PaymentOutcome): void {
  metrics.payments.inc({ method: 'pix', outcome });
  metrics.paymentDuration.observe({ method: 'pix' }, ageSeconds);
}

async function endWithoutOrder(shop: Deps, pix: Pix, end: PixEnd): Promise<void> {
  const { database, metrics, reports, worker } = shop;
  const { reference, cartId } = pix;
  if (!(await endPix(database, reference, worker, end))) return;
  if (end === 'expired') {
    countEnd(metrics, pix, 'expired');
    return;
  }
  countEnd(metrics, pix, 'cancelled');
  if (end !== 'replaced') metrics.orders.inc({ outcome: end === 'sold_out' ? 'out_of_stock' : 'failed' });
  // A primary that settles it after this worker's death does not count it again.
  reports.orderCounted(reference);
  void settle(shop, { cartId, reference });
}

/**
 * Follows the charges without an open page: their visitors have closed it, or their workers have died. Every worker
 * of every instance takes part, and each charge is looked at by one of them every 5 seconds.
 *
 * @returns stops it; resolves when the charges under way are done
 */
export function watchPix(shop: Deps): () => Promise<void> {
  let underWay: Promise<void> | null = null;
  let stopped = false;

  async function sweep(): Promise<void> {
    const due = { uncheckedSeconds: SWEEP_MS / SECOND, limit: BATCH };
    try {
      for (let left = BATCH; left === BATCH && !stopped; ) {
        const taken = await takeOpenPix(shop.database, due);
        left = taken.length;
        await Promise.all(taken.map(followOne));
      }
    } catch (error) {
      // The primary logs an outage of the database.
      shop.log.debug({ err: error }, 'the open charges could not be read');
    }
  }

  async function followOne(pix: Pix): Promise<void> {
    try {
      // One whose worker failed before it was shown has an end already, and only its customer is to be forgotten.
      await (pix.isOpen ? followPix(shop, pix) : endPix(shop.database, pix.reference, shop.worker, 'replaced'));
    } catch (error) {
      shop.log.warn({ paymentReference: pix.reference, err: error }, 'a Pix could not be followed; it is tried again');
    }
  }

  function begin(): void {
    underWay ??= sweep().finally(() => {
      underWay = null;
    });
  }
  begin();
  const timer = setInterval(begin, SWEEP_MS).unref();
  return async function stopWatching() {
    stopped = true;
    clearInterval(timer);
    await underWay;
  };
}
