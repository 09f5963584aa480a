import { setTimeout as delay } from 'node:timers/promises';
import type { Knex } from 'knex';
import type { Logger } from '../log.ts';
import { withDeadline } from '../promises.ts';
import type { PaymentGateway, PaymentMethod } from './gateway.ts';
import { type AbandonedPayment, endPayment, giveUp, giveUpAbandoned } from './ledger.ts';

const SECOND = 1000;
/** Between two attempts of a worker to settle its own payment. */
const RETRY_MS = 1 * SECOND;
/** For one call to the provider during a settlement; then it is called again. No visitor waits for this. */
const PROVIDER_DEADLINE_MS = 5 * SECOND;

/** The primary looks for abandoned payments this often. */
const SWEEP_MS = 2 * SECOND;
/**
 * Longer than a checkout takes when nearly each of its waits runs into its deadline, so that a living worker settles its own.
 * One that takes longer finds its payment given up, and makes no order.
 */
const ABANDONED_SECONDS = 15;
/** Longer than one attempt to give money back takes. */
const RETRY_SECONDS = 15;
/** Payments that are given back at a time. */
const BATCH = 20;

interface Settling {
  readonly database: Knex;
  readonly payments: PaymentGateway;
  readonly log: Logger;
}

/**
 * A worker's reports on the payments that it settles, so that the primary counts each order once if the worker dies.
 */
export interface SettlementReports {
  /** It has counted how the order of this payment ended. */
  orderCounted(reference: string): void;
  paymentSettled(reference: string): void;
}

/**
 * Settles a payment of this worker's: gives it up unless its order was made, and then gives the money back. After a
 * lost answer to a commit, only the database knows whether the order was made. Asks the database and the provider until
 * both have answered. Never rejects.
 *
 * @returns whether the order was made, as soon as that is certain; the money is given back after that
 */
export async function settle(
  { database, payments, log, reports }: Settling & { readonly reports: SettlementReports },
  { cartId, reference }: { cartId: string | null; reference: string },
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

export interface AbandonedPaymentsOptions extends Settling {
  /** An attempt to order has failed, and its worker did not count it before it died. */
  onFailedOrder(method: PaymentMethod): void;
  /** `foreign`: of another instance, whose own primary counts its workers' failures. */
  stateOf(worker: string): 'alive' | 'dead' | 'foreign';
}

export interface AbandonedPayments extends SettlementReports {
  /** Settles the worker's payments from now on, and not only when they are old enough. */
  workerDied(worker: string): void;
  /** Resolves when the statement under way has ended. */
  stop(): Promise<void>;
}

/**
 * Settles the payments that workers have abandoned, of this instance and of all others: now, every 2 seconds, and when a
 * worker dies. Only the worker had the customer's data, so no order is made: the money is given back. Any number of
 * primaries may do so at once.
 */
export function settleAbandonedPayments(options: AbandonedPaymentsOptions): AbandonedPayments {
  const { database, payments, log } = options;
  /** By worker: until when its payments are looked for. A statement that it sent may still commit after its death. */
  const deadWorkers = new Map<string, number>();
  /** References of unsettled payments whose orders are counted already, here or by their workers. */
  const counted = new Set<string>();
  /**
   * By reference: payments that were given up here while their workers lived. The worker counts the order when it goes
   * on.
   */
  const awaited = new Map<string, AbandonedPayment>();
  let stopped = false;

  async function sweep(): Promise<void> {
    const now = performance.now();
    for (const [worker, untilMs] of deadWorkers) if (untilMs < now) deadWorkers.delete(worker);
    for (let left = BATCH; left === BATCH && !stopped; ) {
      const found = await giveUpAbandoned(database, {
        deadWorkers: [...deadWorkers.keys()],
        abandonedSeconds: ABANDONED_SECONDS,
        retrySeconds: RETRY_SECONDS,
        limit: BATCH,
      });
      left = found.length;
      await Promise.all(found.map(settleOne));
    }
    // After the database has answered: a dead worker's last reports have arrived by then.
    for (const [reference, { worker, method }] of awaited) {
      if (options.stateOf(worker) !== 'dead') continue;
      awaited.delete(reference);
      options.onFailedOrder(method);
    }
  }

  async function settleOne(payment: AbandonedPayment): Promise<void> {
    const { reference, cartId, amountCents, worker } = payment;
    const about = { cartId, paymentReference: reference, amountCents, paymentWorker: worker };
    if (payment.fresh) log.warn(about, 'a worker ended without settling its payment');
    countFailure(payment);
    try {
      const { approved } = await giveBack(database, payments, reference);
      counted.delete(reference);
      log.info(about, approved ? 'the abandoned payment is given back' : 'the abandoned payment had taken no money');
    } catch (error) {
      log.error({ ...about, err: error }, 'an abandoned payment could not be given back; it is tried again');
    }
  }

  function countFailure(payment: AbandonedPayment): void {
    const { reference, worker, method } = payment;
    const state = options.stateOf(worker);
    if (state === 'foreign' || counted.has(reference)) return;
    if (state === 'alive') {
      awaited.set(reference, payment);
      return;
    }
    awaited.delete(reference);
    counted.add(reference);
    options.onFailedOrder(method);
  }

  let underWay: Promise<void> | null = null;
  let again = false;
  function begin(): void {
    again = underWay !== null;
    underWay ??= sweep()
      // The sampler of the database logs its outage.
      .catch((error: unknown) => log.debug({ err: error }, 'the abandoned payments could not be read'))
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
 * Makes sure that the provider has taken no money for a payment that was given up, and ends the payment.
 *
 * @returns whether it had been approved
 */
async function giveBack(database: Knex, payments: PaymentGateway, reference: string): Promise<{ approved: boolean }> {
  const found = await inTime(payments.find(reference));
  // Also a payment that the provider does not know: the request may still be on its way.
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
