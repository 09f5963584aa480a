import { Semaphore, withTimeout } from 'async-mutex';
import { CHECKOUT_MS } from '../../deadlines.ts';
import { recordPayment } from '../../instrument/request-clock.ts';
import type { PaymentGateway, PaymentRequest } from '../../payments/gateway.ts';
import { withDeadline } from '../../promises.ts';
import { unavailable } from '../errors.ts';

/** A limited number of places to work in, and a line before them. */
export interface Bulkhead {
  /**
   * Waits for a place.
   *
   * @returns leaves the place
   * @throws {ShopError} 503 when no place was free in time
   */
  enter(): Promise<() => void>;
}

/**
 * Limits how many checkouts work at a time, so that a slow payment provider does not stop the whole shop: many pages
 * that wait for it would look like a worker that has fallen behind, which refuses all other pages. The line is a
 * consequence of the provider's slowness, so the time in line counts as a wait for the provider.
 *
 * @param places how many checkouts work at a time
 */
export function createBulkhead(places: number): Bulkhead {
  const semaphore = withTimeout(new Semaphore(places), CHECKOUT_MS.line);
  return {
    async enter() {
      const startedMs = performance.now();
      try {
        const [, leave] = await semaphore.acquire();
        return leave;
      } catch {
        const cause = new Error(
          `${places} checkouts were under way, and this one's turn did not come in ${CHECKOUT_MS.line} ms`,
        );
        throw unavailable('overload', { cause });
      } finally {
        recordPayment((performance.now() - startedMs) / 1000);
      }
    },
  };
}

/**
 * Asks for the payment of an order, and waits no longer than the checkout's share for it.
 *
 * @throws {ShopError} 503 when the provider has failed or has not answered in time; it may still approve the payment
 */
export async function pay(payments: PaymentGateway, payment: PaymentRequest): Promise<{ approved: boolean }> {
  const startedMs = performance.now();
  const controller = new AbortController();
  try {
    return await withDeadline(
      payments.authorize(payment, controller.signal),
      CHECKOUT_MS.payment,
      () => new Error(`no answer from the payment provider in ${CHECKOUT_MS.payment} ms`),
    );
  } catch (cause) {
    controller.abort();
    throw unavailable('overload', { cause });
  } finally {
    recordPayment((performance.now() - startedMs) / 1000);
  }
}
