import { CHECKOUT_MS } from '../../deadlines.ts';
import { duringWait } from '../../instrument/request-clock.ts';
import type { WorkerMetrics } from '../../instrument/worker-metrics.ts';
import type { PaymentGateway, PaymentRequest, PixCharge, PixRequest } from '../../payments/gateway.ts';
import { withDeadline } from '../../promises.ts';
import { unavailable } from '../errors.ts';

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
    return await duringWait('payment', () =>
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
