import type { Knex } from 'knex';
import { labelQuery } from '../db/query-labels.ts';
import type { PaymentMethod } from './gateway.ts';

/**
 * States in which money may have moved without an order. A Pix that is `waiting` has not been paid, as far as the shop
 * knows. Every other state is an end.
 */
const UNSETTLED = ['started', 'approved'];

/**
 * Notes the provider's answer. Does not wait for the disk: if PostgreSQL crashes and forgets it, the provider is asked
 * again when the payment is settled.
 *
 * @returns false when the payment was given up meanwhile
 */
export async function noteAnswer(database: Knex, reference: string, state: 'approved' | 'declined'): Promise<boolean> {
  const { rowCount } = await labelQuery(
    database.raw<{ rowCount: number }>(
      `update payments set state = :state from set_config('synchronous_commit', 'off', true)
       where reference = :reference and payments.state = 'started' and given_up_at is null`,
      { reference, state },
    ),
    'update',
    'payments',
  );
  return rowCount === 1;
}

/**
 * Gives a payment up: from now on no order can be made with it, and its cart may be paid for again. Waits for an order
 * that is being stored.
 *
 * @returns `ordered`: there is an order instead; `absent`: the payment was never written
 */
export async function giveUp(database: Knex, reference: string): Promise<'given_up' | 'ordered' | 'absent'> {
  const givenUp = await database('payments')
    .where({ reference })
    .whereIn('state', [...UNSETTLED, 'waiting'])
    .whereNull('given_up_at')
    .update({
      given_up_at: database.fn.now(),
      // A Pix that can be paid may have been approved by now.
      state: database.raw("case state when 'waiting' then 'approved' else state end"),
    });
  if (givenUp === 1) return 'given_up';
  const row: { state: string } | undefined = await database('payments').where({ reference }).first('state');
  if (!row) return 'absent';
  return row.state === 'ordered' ? 'ordered' : 'given_up';
}

/** Ends a payment that was given up, once the provider has given its money back. */
export async function endPayment(database: Knex, reference: string, state: 'declined' | 'cancelled'): Promise<void> {
  await database('payments')
    .where({ reference })
    .whereIn('state', UNSETTLED)
    .whereNotNull('given_up_at')
    .update({ state });
}

export interface AbandonedPayment {
  readonly reference: string;
  readonly cartId: string;
  readonly amountCents: number;
  readonly method: PaymentMethod;
  readonly worker: string;
  /** Given up just now; else before, and its money could not be given back then. */
  readonly fresh: boolean;
}

export interface AbandonedOptions {
  /** Workers that have died. */
  readonly deadWorkers: readonly string[];
  /** A payment that was started longer ago is abandoned, even if its worker lives. */
  readonly abandonedSeconds: number;
  /** Money that was to be given back longer ago is given back again. */
  readonly retrySeconds: number;
  readonly limit: number;
}

/** Gives up abandoned payments, unless the order is being stored at this moment. */
export async function giveUpAbandoned(database: Knex, options: AbandonedOptions): Promise<AbandonedPayment[]> {
  const { rows } = await labelQuery(
    database.raw<{ rows: AbandonedPayment[] }>(
      `with chosen as (
         select reference, given_up_at is null as fresh from payments
         where state in ('started', 'approved') and case
           when given_up_at is not null then given_up_at < now() - make_interval(secs => :retrySeconds)
           else created_at < now() - make_interval(secs => :abandonedSeconds) or worker = any(:deadWorkers)
         end
         order by created_at
         limit :limit
         for update skip locked
       )
       update payments set given_up_at = now() from chosen where payments.reference = chosen.reference
       returning payments.reference, cart_id as "cartId", amount_cents as "amountCents", method, worker, fresh`,
      { ...options },
    ),
    'update',
    'payments',
  );
  return rows;
}
