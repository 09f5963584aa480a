import { withDeadline } from '../../deadline.ts';
import { recordPayment } from '../../instrument/request-clock.ts';
import { unavailable } from '../errors.ts';
import type { Card, Payment, PaymentGateway } from '../payment/gateway.ts';

/** How long a shopper waits for the payment provider; shorter than the page's own deadline. */
const DEADLINE_MS = 1_200;

/**
 * Asks for the payment of an order, and no longer than the deadline, whatever the provider does.
 *
 * @param onLateApproval told of an approval that comes too late: nobody pays for an order that was not made
 * @throws {ShopError} 503 when the provider has failed or has not answered in time
 */
export async function pay(
  payments: PaymentGateway,
  amountCents: number,
  card: Card,
  onLateApproval: (reference: string) => void,
): Promise<Payment> {
  const startedMs = performance.now();
  const controller = new AbortController();
  const answer = payments.authorize(amountCents, card, controller.signal);
  try {
    return await withDeadline(
      answer,
      DEADLINE_MS,
      () => new Error(`no answer from the payment provider in ${DEADLINE_MS} ms`),
    );
  } catch (cause) {
    controller.abort();
    answer.then(
      (late) => late.approved && onLateApproval(late.reference),
      // No answer, so nothing was paid.
      () => {},
    );
    throw unavailable('overload', { cause });
  } finally {
    recordPayment((performance.now() - startedMs) / 1000);
  }
}
