import assert from 'node:assert/strict';
import type { Knex } from 'knex';
import type { PaymentGateway, PaymentRequest, PaymentState } from '../../src/payments/gateway.ts';
import { until } from './wait.ts';

/** A payment provider that the test controls. */
export interface TestProvider extends PaymentGateway {
  /** References of the payments that were asked for, in order. */
  readonly asked: string[];
  /** References of the payments that were cancelled, one for each request to cancel. */
  readonly cancelled: string[];
}

export interface TestProviderOptions {
  /** Default: approves. */
  authorize?(payment: PaymentRequest, signal: AbortSignal): Promise<{ approved: boolean }>;
  /** Default: succeeds. */
  cancel?(reference: string): Promise<void>;
  /** Asked for a payment that is not cancelled. Default: it is not known. */
  find?(reference: string): Promise<PaymentState | null>;
}

/** How long a Pix can be paid. */
const PIX_MS = 60_000;

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
    async charge({ reference }) {
      asked.push(reference);
      return { brCode: `the code of ${reference}`, expiresAt: new Date(Date.now() + PIX_MS) };
    },
    async cancel(reference) {
      cancelled.push(reference);
      await options.cancel?.(reference);
    },
    async find(reference) {
      if (cancelled.includes(reference)) return 'cancelled';
      return options.find ? options.find(reference) : null;
    },
  };
}

/** Twice the time that a primary needs to settle the payments that other processes left behind. */
const SETTLED_MS = 60_000;

export async function allSettled(knex: Knex): Promise<void> {
  const open = () => knex('payments').whereIn('state', ['started', 'waiting', 'approved']).first('reference');
  await until('every payment has ended', async () => !(await open()), SETTLED_MS);
}

/**
 * Compares the shop's ledger, the provider's payments and the orders once all payments are settled: each approved payment
 * has exactly one order of the same amount, each order has one approved payment, and ledger and provider agree.
 *
 * @returns the number of payments by state
 */
export async function assertMoneyAddsUp(knex: Knex): Promise<Record<string, number>> {
  const { rows } = await knex.raw(`
    select coalesce(provider.reference, payments.reference, orders.payment_reference) as reference,
      payments.state as ledger, provider.state as provider, count(orders.id) as orders,
      payments.amount_cents as due, provider.amount_cents as charged, sum(orders.total_cents)::bigint as ordered
    from payments
    full join simulated_provider_payments provider using (reference)
    full join orders on orders.payment_reference = coalesce(provider.reference, payments.reference)
    group by 1, 2, 3, 5, 6`);
  const ends: Record<string, number> = {};
  for (const row of rows) {
    const { ledger, provider, orders, due, charged, ordered } = row;
    ends[ledger] = (ends[ledger] ?? 0) + 1;
    const adds =
      ledger === 'ordered'
        ? provider === 'approved' && orders === 1 && due === charged && due === ordered
        : orders === 0 && provider === ledger;
    assert.ok(adds, `money does not add up: ${JSON.stringify(row)}`);
  }
  return ends;
}
