import assert from 'node:assert/strict';
import type { Knex } from 'knex';
import { until } from './wait.ts';

/** What a primary is granted to settle what others have left, and as much again for a busy machine. */
const SETTLED_MS = 60_000;

/** Payments that are neither an order's nor declined nor cancelled. */
export async function unsettledPayments(knex: Knex): Promise<{ reference: string; state: string; worker: string }[]> {
  return knex('payments').whereIn('state', ['started', 'approved']).select('reference', 'state', 'worker');
}

export async function allSettled(knex: Knex): Promise<void> {
  await until('every payment is settled', async () => (await unsettledPayments(knex)).length === 0, SETTLED_MS);
}

/**
 * What must be true of money once all is settled: each approved payment has exactly one order of the same amount, each order
 * its approved payment, and the ledger says the same as the provider.
 *
 * @returns how many payments ended in which state
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
