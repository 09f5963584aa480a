import { setTimeout as sleep } from 'node:timers/promises';
import type { Knex } from 'knex';
import type { DatabaseConnection } from '../config.ts';
import { acquireMs, batchStatements, connect } from '../db/index.ts';
import type { DatabaseDeadlines } from '../deadlines.ts';
import type { Logger } from '../log.ts';
import { brCode } from './br-code.ts';
import type { PaymentGateway, PaymentState, PixRequest, PixSimulation } from './gateway.ts';

/** The one card that is refused, as in the test cards of payment providers. */
const DECLINED_NUMBER = '4000000000000002';

const LATENCY_MS = 20;

/** Long enough to look at the page of a Pix, and to choose another end there. */
const PIX_PAID_AFTER_SECONDS = 15;
/** Short for a shop, which gives a quarter of an hour and more, so that a visitor of the demonstration sees it. */
const PIX_EXPIRES_AFTER_SECONDS = 5 * 60;
/** Of a reference, in a BR Code. */
const TXID_LENGTH = 25;

/** Connections of each process that uses it. */
export const PROVIDER_POOL_MAX = 1;

interface Decision {
  readonly reference: string;
  readonly amountCents: number;
  readonly state: PaymentState;
}

export interface SimulatedProvider extends PaymentGateway {
  readonly simulation: PixSimulation;
  close(): Promise<void>;
}

/**
 * A provider that approves every card but one, and answers in 20 ms. A Pix is paid after 15 seconds, unless its visitor
 * pays it before, or lets it expire; it expires after 5 minutes.
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

  const waiting = (reference: string) => database('simulated_provider_payments').where({ reference, state: 'waiting' });

  /** Stores the state that a Pix has reached by now: it changes with time, and no request notes that. */
  async function passTime(reference: string): Promise<void> {
    await waiting(reference)
      .whereRaw('least(pays_at, expires_at) <= now()')
      .update({ state: database.raw("case when pays_at < expires_at then 'approved' else 'cancelled' end") });
  }

  async function find(reference: string): Promise<PaymentState | null> {
    // Most questions are those of pages that wait: one statement for them.
    const row: { state: PaymentState; isDue: boolean | null } | undefined = await database(
      'simulated_provider_payments',
    )
      .where({ reference })
      .first('state', { isDue: database.raw('least(pays_at, expires_at) <= now()') });
    if (row?.state !== 'waiting' || !row.isDue) return row?.state ?? null;
    await passTime(reference);
    return find(reference);
  }

  const storeDecision = batchStatements(
    async (decisions: readonly Decision[]) => {
      // PostgreSQL writes its log in order: by the time that the shop's order is on disk, this is.
      const { rows } = await database.raw<{ rows: Decision[] }>(
        `insert into simulated_provider_payments (reference, amount_cents, state)
         select decision.*
         from set_config('synchronous_commit', 'off', true),
           unnest(:references::text[], :amounts::bigint[], :states::text[]) as decision
         on conflict (reference) do nothing
         returning reference, state`,
        {
          references: decisions.map(({ reference }) => reference),
          amounts: decisions.map(({ amountCents }) => amountCents),
          states: decisions.map(({ state }) => state),
        },
      );
      return new Map(rows.map(({ reference, state }) => [reference, state]));
    },
    ({ reference }) => reference,
    { statements: PROVIDER_POOL_MAX },
  );

  /** The first decision stays. */
  async function decide(decision: Decision): Promise<PaymentState | null> {
    return (await storeDecision(decision, acquireMs(database))) ?? find(decision.reference);
  }

  async function storeCharge({
    reference,
    amountCents,
  }: PixRequest): Promise<{ state: PaymentState; expires_at: Date }> {
    await database.raw(
      `insert into simulated_provider_payments (reference, amount_cents, state, pays_at, expires_at)
       values (:reference, :amountCents, 'waiting', now() + make_interval(secs => :paidAfter),
         now() + make_interval(secs => :expiresAfter))
       on conflict (reference) do nothing`,
      { reference, amountCents, paidAfter: PIX_PAID_AFTER_SECONDS, expiresAfter: PIX_EXPIRES_AFTER_SECONDS },
    );
    return database('simulated_provider_payments').where({ reference }).first('state', 'expires_at');
  }

  return {
    async authorize({ reference, amountCents, card }, signal) {
      const answered = sleep(LATENCY_MS, undefined, { signal });
      const state = card.number === DECLINED_NUMBER ? 'declined' : 'approved';
      const [decided] = await Promise.all([decide({ reference, amountCents, state }), answered]);
      if (decided === 'cancelled') throw cancelledBefore();
      return { approved: decided === 'approved' };
    },
    async charge({ reference, amountCents }, signal) {
      const answered = sleep(LATENCY_MS, undefined, { signal });
      const [row] = await Promise.all([storeCharge({ reference, amountCents }), answered]);
      if (row.state === 'cancelled') throw cancelledBefore();
      const txid = reference.replace(/[^a-z\d]/gi, '').slice(-TXID_LENGTH);
      return { brCode: brCode({ txid, amountCents }), expiresAt: row.expires_at };
    },
    async cancel(reference) {
      await database('simulated_provider_payments')
        .insert({ reference, state: 'cancelled' })
        .onConflict('reference')
        .merge(['state'])
        .whereIn('simulated_provider_payments.state', ['waiting', 'approved']);
    },
    find,
    simulation: {
      paidAfterSeconds: PIX_PAID_AFTER_SECONDS,
      async pay(reference) {
        await waiting(reference).update({ pays_at: database.fn.now() });
        await passTime(reference);
      },
      async expire(reference) {
        await passTime(reference);
        await waiting(reference).update({ pays_at: null, expires_at: database.fn.now() });
      },
    },
    close: () => database.destroy(),
  };
}

function cancelledBefore(): Error {
  return new Error('the payment was cancelled before it was asked for');
}
