import { recordPayment } from '../../instrument/request-clock.ts';
import { unavailable } from '../errors.ts';
import type { Card, Payment, PaymentGateway } from '../payment/gateway.ts';

/** How long a shopper waits for the payment provider; shorter than the page's own deadline. */
const DEADLINE_MS = 1_200;

/**
 * Asks for the payment of an order, and no longer than the deadline, whatever the provider does. An approval that
 * comes too late is cancelled: nobody pays for an order that was not made.
 *
 * @throws {ShopError} 503 when the provider has failed or has not answered in time
 */
export async function pay(payments: PaymentGateway, amountCents: number, card: Card): Promise<Payment> {
  const startedMs = performance.now();
  const controller = new AbortController();
  const answer = payments.authorize(amountCents, card, controller.signal);
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () => reject(new Error(`no answer from the payment provider in ${DEADLINE_MS} ms`)),
      DEADLINE_MS,
    );
  });
  try {
    return await Promise.race([answer, deadline]);
  } catch (cause) {
    controller.abort();
    cancelLate(payments, answer);
    throw unavailable('overload', { cause });
  } finally {
    clearTimeout(timer);
    recordPayment((performance.now() - startedMs) / 1000);
  }
}

async function cancelLate(payments: PaymentGateway, answer: Promise<Payment>): Promise<void> {
  try {
    const late = await answer;
    if (late.approved) await payments.cancel(late.reference);
  } catch {
    // No answer, so nothing was paid.
  }
}
