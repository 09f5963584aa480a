import { setTimeout as delay } from 'node:timers/promises';
import type { Knex } from 'knex';
import type { Logger } from '../log.ts';
import { withDeadline } from '../promises.ts';
import type { PaymentGateway } from './gateway.ts';
import { endPayment, giveUp, giveUpLeft, type LeftPayment } from './ledger.ts';

const SECOND = 1000;
/** Between two attempts of the worker that asked for a payment. */
const RETRY_MS = 1 * SECOND;
/** Nobody waits for the provider then, but it is asked again only after this. */
const PROVIDER_DEADLINE_MS = 5 * SECOND;

/** The primary looks for payments that were left. */
const SWEEP_MS = 2 * SECOND;
/** Longer than a checkout takes when each of its waits runs into its deadline, so that a living worker settles its own. */
const ABANDONED_SECONDS = 15;
/** Longer than one attempt to give money back takes. */
const RETRY_SECONDS = 15;
/** Given back at a time. */
const BATCH = 20;

interface Settling {
  readonly database: Knex;
  readonly payments: PaymentGateway;
  readonly log: Logger;
}

/** What a worker tells its primary of payments that it settles, so that each order is counted once if it dies meanwhile. */
export interface SettlementReports {
  /** It has counted how the order of this payment ended. */
  orderCounted(reference: string): void;
  paymentSettled(reference: string): void;
}

/**
 * Settles a payment of this worker's: gives it up unless its order was made, which after a lost answer to a commit the
 * database alone can tell, and then gives the money back. Asks the database and the provider until both have answered.
 * Never rejects.
 *
 * @returns whether the order was made, as soon as that is certain; the money is given back after that
 */
export async function settle(
  { database, payments, log, reports }: Settling & { readonly reports: SettlementReports },
  { cartId, reference }: { cartId: string; reference: string },
): Promise<boolean> {
  const about = { cartId, paymentReference: reference };
  log.warn(about, 'a payment may have been approved without an order');
  const found = await untilDone(() => giveUp(database, reference));
  if (found === 'absent') {
    log.info(about, 'the payment was not asked for');
    // Its row may still be waiting for a lock in the database; a primary gives it up then.
    void delay(2 * ABANDONED_SECONDS * SECOND, undefined, { ref: false }).then(() => reports.paymentSettled(reference));
    return false;
  }
  if (found === 'ordered') {
    log.info(about, 'the order was made');
    reports.paymentSettled(reference);
    return true;
  }
  void untilDone(() => giveBack(database, payments, reference)).then(() => {
    log.info(about, 'the order was not made, and its payment is given back');
    reports.paymentSettled(reference);
  });
  return false;

  async function untilDone<T>(work: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await work();
      } catch (error) {
        log.debug({ ...about, err: error }, 'the payment is not settled yet');
        await delay(RETRY_MS, undefined, { ref: false });
      }
    }
  }
}

export interface LeftPaymentsOptions extends Settling {
  /** An attempt to order has failed, and its worker did not count it before it died. */
  onFailedOrder(): void;
  /** `foreign`: another instance's, whose primary counts what its workers could not. */
  stateOf(worker: string): 'alive' | 'dead' | 'foreign';
}

export interface LeftPayments extends SettlementReports {
  /** Settles what a worker has left, from now on and not only when it is old enough. */
  workerDied(worker: string): void;
  /** Resolves when the statement under way has ended. */
  stop(): Promise<void>;
}

/**
 * Settles the payments that workers have left, of this instance and of all others: now, every 2 seconds, and when a worker
 * dies. Nobody else has the customer's data, so it never makes an order: it gives the money back. Any number of
 * primaries may do so at once.
 */
export function settleLeftPayments(options: LeftPaymentsOptions): LeftPayments {
  const { database, payments, log } = options;
  /** By the time until which they are looked for: what they were doing in the database ends later than they do. */
  const deadWorkers = new Map<string, number>();
  /** References of payments that are not settled, of which the orders are counted, here or by their workers. */
  const counted = new Set<string>();
  /** References that were given up here while their workers lived, which count the orders when they go on; with the worker. */
  const awaited = new Map<string, string>();
  let stopped = false;

  async function sweep(): Promise<void> {
    const now = performance.now();
    for (const [worker, untilMs] of deadWorkers) if (untilMs < now) deadWorkers.delete(worker);
    for (let left = BATCH; left === BATCH && !stopped; ) {
      const found = await giveUpLeft(database, {
        deadWorkers: [...deadWorkers.keys()],
        abandonedSeconds: ABANDONED_SECONDS,
        retrySeconds: RETRY_SECONDS,
        limit: BATCH,
      });
      left = found.length;
      await Promise.all(found.map(settleOne));
    }
    // After the database has answered: what a worker has said before it died has arrived by then.
    for (const [reference, worker] of awaited) {
      if (options.stateOf(worker) !== 'dead') continue;
      awaited.delete(reference);
      options.onFailedOrder();
    }
  }

  async function settleOne(payment: LeftPayment): Promise<void> {
    const { reference, cartId, amountCents, worker } = payment;
    const about = { cartId, paymentReference: reference, amountCents, paymentWorker: worker };
    if (payment.fresh) log.warn(about, 'a payment was left without an order by its worker');
    countFailure(payment);
    try {
      const { approved } = await giveBack(database, payments, reference);
      counted.delete(reference);
      log.info(about, approved ? 'the payment that was left is given back' : 'the payment that was left took no money');
    } catch (error) {
      log.error({ ...about, err: error }, 'a payment that was left could not be given back; it is tried again');
    }
  }

  function countFailure({ reference, worker }: LeftPayment): void {
    const state = options.stateOf(worker);
    if (state === 'foreign' || counted.has(reference)) return;
    if (state === 'alive') {
      awaited.set(reference, worker);
      return;
    }
    awaited.delete(reference);
    counted.add(reference);
    options.onFailedOrder();
  }

  let underWay: Promise<void> | null = null;
  let again = false;
  function begin(): void {
    again = underWay !== null;
    underWay ??= sweep()
      // The database's outage is logged by those who sample it.
      .catch((error: unknown) => log.debug({ err: error }, 'payments could not be looked through'))
      .finally(() => {
        underWay = null;
        if (again && !stopped) begin();
      });
  }
  begin();
  const timer = setInterval(begin, SWEEP_MS).unref();

  return {
    orderCounted(reference) {
      counted.add(reference);
      awaited.delete(reference);
    },
    paymentSettled(reference) {
      counted.delete(reference);
    },
    workerDied(worker) {
      deadWorkers.set(worker, performance.now() + ABANDONED_SECONDS * SECOND);
      begin();
    },
    async stop() {
      stopped = true;
      clearInterval(timer);
      await underWay;
    },
  };
}

/**
 * Sees to it that the provider has no money of a payment that was given up, and ends it.
 *
 * @returns whether it had been approved
 */
async function giveBack(database: Knex, payments: PaymentGateway, reference: string): Promise<{ approved: boolean }> {
  const found = await inTime(payments.find(reference));
  // Also what the provider has not heard of: the request may still be on its way.
  if (found !== 'declined') await inTime(payments.cancel(reference));
  await endPayment(database, reference, found === 'declined' ? 'declined' : 'cancelled');
  return { approved: found === 'approved' };
}

function inTime<T>(answer: Promise<T>): Promise<T> {
  return withDeadline(
    answer,
    PROVIDER_DEADLINE_MS,
    () => new Error(`the payment provider has not answered in ${PROVIDER_DEADLINE_MS} ms`),
  );
}
