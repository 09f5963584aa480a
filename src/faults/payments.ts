import { setTimeout as delay } from 'node:timers/promises';
import type { PaymentGateway } from '../payments/gateway.ts';
import type { FaultName } from './names.ts';

/** Slow, and still inside of the second that a checkout waits for the provider. */
const SLOW_MS = 700;

/**
 * A payment provider that is slow (`slow_payment`) or answers with an error (`payment_errors`). Only what asks for money is
 * affected, so that payments can still be settled.
 *
 * @param isOn whether a fault is on now
 */
export function wrapPayments(payments: PaymentGateway, isOn: (name: FaultName) => boolean): PaymentGateway {
  async function suffer(signal: AbortSignal): Promise<void> {
    if (isOn('slow_payment')) await delay(SLOW_MS, undefined, { signal });
    if (isOn('payment_errors')) throw new Error('payment_errors: the payment provider answered 502 Bad Gateway');
  }

  return {
    ...payments,
    async authorize(payment, signal) {
      await suffer(signal);
      return payments.authorize(payment, signal);
    },
    async charge(payment, signal) {
      await suffer(signal);
      return payments.charge(payment, signal);
    },
  };
}
