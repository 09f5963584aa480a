import { recordPayment } from '../../instrument/request-clock.ts';
import type { PaymentGateway, PaymentRequest } from '../../payments/gateway.ts';
import { withDeadline } from '../../promises.ts';
import { unavailable } from '../errors.ts';

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
