import { Semaphore, withTimeout } from 'async-mutex';
import { CHECKOUT_MS } from '../../deadlines.ts';
import { duringPayment } from '../../instrument/request-clock.ts';
import type { WorkerMetrics } from '../../instrument/worker-metrics.ts';
import type { PaymentGateway, PaymentRequest, PixCharge, PixRequest } from '../../payments/gateway.ts';
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
 * Limits how many checkouts work at a time, so that those that wait for a slow payment provider don't take all the room
 * that a worker has for pages. The line is a consequence of the provider's slowness, so the time in line counts as a wait
 * for the provider.
 *
 * @param places how many checkouts work at a time
 */
export function createBulkhead(places: number): Bulkhead {
  const semaphore = withTimeout(new Semaphore(places), CHECKOUT_MS.line);
  return {
    async enter() {
      try {
        const [, leave] = await duringPayment(() => semaphore.acquire());
        return leave;
      } catch {
        const cause = new Error(
          `${places} checkouts were under way, and this one's turn did not come in ${CHECKOUT_MS.line} ms`,
        );
        throw unavailable('overload', { cause });
      }
    },
  };
}

/**
 * Asks for the payment of an order by card, and waits no longer than the checkout's share for it.
 *
 * @throws {ShopError} 503 when the provider has failed or has not answered in time; it may still approve the payment
 */
export async function pay(
  { payments, metrics }: { payments: PaymentGateway; metrics: Pick<WorkerMetrics, 'paymentDuration'> },
  payment: PaymentRequest,
): Promise<{ approved: boolean }> {
  const stop = metrics.paymentDuration.startTimer({ method: 'card' });
  try {
    return await inShareOfTime((signal) => payments.authorize(payment, signal));
  } finally {
    stop();
  }
}

/**
 * Asks for a Pix that can be paid, and waits as {@link pay} does.
 *
 * @throws {ShopError} 503 as of {@link pay}; the provider may still make the charge
 */
export function charge(payments: PaymentGateway, payment: PixRequest): Promise<PixCharge> {
  return inShareOfTime((signal) => payments.charge(payment, signal));
}

/**
 * Waits for an answer of the provider no longer than the checkout's share.
 *
 * @throws {ShopError} 503 when it fails or is late; `signal` is aborted then
 */
export async function inShareOfTime<T>(ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  try {
    return await duringPayment(() =>
      withDeadline(
        ask(controller.signal),
        CHECKOUT_MS.payment,
        () => new Error(`no answer from the payment provider in ${CHECKOUT_MS.payment} ms`),
      ),
    );
  } catch (cause) {
    controller.abort();
    throw unavailable('overload', { cause });
  }
}
