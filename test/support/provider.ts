import type { PaymentGateway, PaymentRequest } from '../../src/payments/gateway.ts';

/** A payment provider in the test's own hands. */
export interface TestProvider extends PaymentGateway {
  /** References that payments were asked for with, in their order. */
  readonly asked: string[];
  /** References that were cancelled, each as often as that was asked for. */
  readonly cancelled: string[];
}

export interface TestProviderOptions {
  /** Default: approves. */
  authorize?(payment: PaymentRequest, signal: AbortSignal): Promise<{ approved: boolean }>;
  /** Default: succeeds. */
  cancel?(reference: string): Promise<void>;
}

export function testProvider(options: TestProviderOptions = {}): TestProvider {
  const asked: string[] = [];
  const cancelled: string[] = [];
  return {
    asked,
    cancelled,
    async authorize(payment, signal) {
      asked.push(payment.reference);
      return options.authorize ? options.authorize(payment, signal) : { approved: true };
    },
    async cancel(reference) {
      cancelled.push(reference);
      await options.cancel?.(reference);
    },
    find: async (reference) => (cancelled.includes(reference) ? 'cancelled' : null),
  };
}
