import { setTimeout as sleep } from 'node:timers/promises';
import type { Knex } from 'knex';
import type { DatabaseConnection } from '../config.ts';
import { connect } from '../db/index.ts';
import type { DatabaseDeadlines } from '../deadlines.ts';
import type { Logger } from '../log.ts';
import type { PaymentGateway, PaymentState } from './gateway.ts';

/** The one card that is refused, as in the test cards of payment providers. */
const DECLINED_NUMBER = '4000000000000002';

const LATENCY_MS = 20;

/** Connections of each process that uses it. */
export const PROVIDER_POOL_MAX = 1;

export interface SimulatedProvider extends PaymentGateway {
  close(): Promise<void>;
}

/**
 * A provider that approves every card but one, and answers in 20 ms.
 *
 * It remembers each reference in a table that no other code reads, so that it survives the death of any process of the
 * shop, as a real provider's memory would. It stores nothing of a card. It has a connection of its own: these queries
 * stand for the network to a provider, so they belong in none of the database's metrics.
 */
export function openPaymentProvider(
  connection: DatabaseConnection,
  log: Logger,
  deadlines?: DatabaseDeadlines,
): SimulatedProvider {
  const database: Knex = connect(connection, {
    poolMax: PROVIDER_POOL_MAX,
    applicationName: 'fake-shop payment provider',
    log,
    ...(deadlines && { deadlines }),
  });

  async function find(reference: string): Promise<PaymentState | null> {
    const row: { state: PaymentState } | undefined = await database('simulated_provider_payments')
      .where({ reference })
      .first('state');
    return row?.state ?? null;
  }

  /** The first decision stays. */
  async function decide(reference: string, amountCents: number, state: PaymentState): Promise<PaymentState | null> {
    // PostgreSQL writes its log in order: by the time that the shop's order is on disk, this is.
    const { rowCount } = await database.raw<{ rowCount: number }>(
      `insert into simulated_provider_payments (reference, amount_cents, state)
       select :reference, :amountCents, :state from set_config('synchronous_commit', 'off', true)
       on conflict (reference) do nothing`,
      { reference, amountCents, state },
    );
    return rowCount === 1 ? state : find(reference);
  }

  return {
    async authorize({ reference, amountCents, card }, signal) {
      const answered = sleep(LATENCY_MS, undefined, { signal });
      const decided = decide(reference, amountCents, card.number === DECLINED_NUMBER ? 'declined' : 'approved');
      const [state] = await Promise.all([decided, answered]);
      if (state === 'cancelled') throw new Error('the payment was cancelled before it was asked for');
      return { approved: state === 'approved' };
    },
    async cancel(reference) {
      await database('simulated_provider_payments')
        .insert({ reference, state: 'cancelled' })
        .onConflict('reference')
        .merge(['state'])
        .where('simulated_provider_payments.state', 'approved');
    },
    find,
    close: () => database.destroy(),
  };
}
