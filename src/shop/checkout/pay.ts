import { Semaphore, withTimeout } from 'async-mutex';
import { recordPayment } from '../../instrument/request-clock.ts';
import type { PaymentGateway, PaymentRequest } from '../../payments/gateway.ts';
import { withDeadline } from '../../promises.ts';
import { unavailable } from '../errors.ts';

/** What is left of a page's deadline after this is the payment provider's. */
const LINE_MS = 700;

/** Lets so many work at a time; the others stand in line. */
export interface Bulkhead {
  /** @throws {ShopError} 503 when its turn has not come in 0.7 s */
  run<T>(work: () => Promise<T>): Promise<T>;
}

/**
 * Keeps a slow payment provider from stopping the whole shop: so many pages that wait for it would look like a worker that
 * has fallen behind, which refuses all others. So the time in line is a wait for the provider, and counts as one.
 *
 * @param places how many checkouts work at a time
 */
export function createBulkhead(places: number): Bulkhead {
  const semaphore = withTimeout(new Semaphore(places), LINE_MS);

  async function enter(): Promise<() => void> {
    const startedMs = performance.now();
    try {
      const [, leave] = await semaphore.acquire();
      return leave;
    } catch {
      const cause = new Error(`${places} checkouts were under way, and this one's turn did not come in ${LINE_MS} ms`);
      throw unavailable('overload', { cause });
    } finally {
      recordPayment((performance.now() - startedMs) / 1000);
    }
  }

  return {
    async run(work) {
      const leave = await enter();
      try {
        return await work();
      } finally {
        leave();
      }
    },
  };
}

/** How long a shopper waits for the payment provider; shorter than the page's own deadline. */
const DEADLINE_MS = 1_200;

/**
 * Asks for the payment of an order, and no longer than the deadline, whatever the provider does.
 *
 * @throws {ShopError} 503 when the provider has failed or has not answered in time; it may approve all the same
 */
export async function pay(payments: PaymentGateway, payment: PaymentRequest): Promise<{ approved: boolean }> {
  const startedMs = performance.now();
  const controller = new AbortController();
  try {
    return await withDeadline(
      payments.authorize(payment, controller.signal),
      DEADLINE_MS,
      () => new Error(`no answer from the payment provider in ${DEADLINE_MS} ms`),
    );
  } catch (cause) {
    controller.abort();
    throw unavailable('overload', { cause });
  } finally {
    recordPayment((performance.now() - startedMs) / 1000);
  }
}
