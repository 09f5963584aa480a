import type { Knex } from 'knex';
import { labelQuery } from '../../db/query-labels.ts';
import type { PixCharge } from '../../payments/gateway.ts';
import type { PixPageView } from '../views.ts';
import { type OrderRecords, readStored, type StoredItem, type StoredOrder, type StoredRow } from './queries.ts';

/** Why a charge ended without an order. */
export type PixEnd = Exclude<PixPageView['pix']['state'], 'waiting'>;

/** A charge by Pix, with its payment. */
export interface Pix {
  readonly reference: string;
  readonly cartId: string;
  readonly amountCents: number;
  readonly brCode: string;
  readonly items: readonly StoredItem[];
  /** Whether it can be paid, or was paid and has no order yet. */
  readonly isOpen: boolean;
  readonly isOrdered: boolean;
  /** Null while it is open or ordered, and where its worker failed before it could be shown. */
  readonly ended: PixEnd | null;
  /** Seconds since the payment was begun. */
  readonly ageSeconds: number;
  /** Seconds until it expires; negative afterwards. */
  readonly secondsLeft: number;
}

const PIX_COLUMNS = `
  payments.reference, cart_id as "cartId", amount_cents as "amountCents", br_code as "brCode", new_items as items,
  state = 'waiting' and given_up_at is null as "isOpen", state = 'ordered' as "isOrdered", ended,
  extract(epoch from now() - payments.created_at)::float as "ageSeconds",
  extract(epoch from expires_at - now())::float as "secondsLeft"`;

/**
 * Writes down that a charge can be paid, and what its order needs.
 *
 * @returns false when its payment was given up meanwhile
 */
export async function openPix(
  database: Knex,
  reference: string,
  { brCode, expiresAt }: PixCharge,
  { order, items }: OrderRecords,
): Promise<boolean> {
  const { rowCount } = await labelQuery(
    database.raw<{ rowCount: number }>(
      `with opened as (
         update payments set state = 'waiting'
         where reference = :reference and state = 'started' and given_up_at is null
         returning reference
       )
       insert into pix_charges (reference, session_id, br_code, expires_at, new_order, new_items)
       select reference, (:order::jsonb ->> 'session_id')::uuid, :brCode, :expiresAt::timestamptz, :order::jsonb,
         :items::jsonb
       from opened`,
      { reference, brCode, expiresAt, order: JSON.stringify(order), items: JSON.stringify(items) },
    ),
    'insert',
    'pix_charges',
  );
  return rowCount === 1;
}

/** The session's charge; null when it has none with this reference. */
export async function findPix(database: Knex, sessionId: string, reference: string): Promise<Pix | null> {
  const { rows } = await labelQuery(
    database.raw<{ rows: Pix[] }>(
      `select ${PIX_COLUMNS} from pix_charges join payments using (reference)
       where reference = :reference and session_id = :sessionId`,
      { reference, sessionId },
    ),
    'select',
    'pix_charges',
  );
  return rows[0] ?? null;
}

/** The open charge of a cart, and whether it is for the same order; null when there is none. */
export async function findOpenPix(
  database: Knex,
  cartId: string,
  { order, items }: OrderRecords,
): Promise<(Pix & { isSame: boolean }) | null> {
  const { rows } = await labelQuery(
    database.raw<{ rows: (Pix & { isSame: boolean })[] }>(
      `select ${PIX_COLUMNS}, new_order = :order::jsonb and new_items = :items::jsonb as "isSame"
       from payments join pix_charges using (reference)
       where cart_id = :cartId and state = 'waiting' and given_up_at is null`,
      { cartId, order: JSON.stringify(order), items: JSON.stringify(items) },
    ),
    'select',
    'pix_charges',
  );
  return rows[0] ?? null;
}

/** Takes charges that no worker has looked at for a while, the longest first. */
export async function takeOpenPix(
  database: Knex,
  { uncheckedSeconds, limit }: { uncheckedSeconds: number; limit: number },
): Promise<Pix[]> {
  const { rows } = await labelQuery(
    database.raw<{ rows: Pix[] }>(
      `with chosen as (
         select reference from pix_charges
         where new_order is not null and checked_at < now() - make_interval(secs => :uncheckedSeconds)
         order by checked_at limit :limit
         for update skip locked
       )
       update pix_charges set checked_at = now() from chosen, payments
       where pix_charges.reference = chosen.reference and payments.reference = chosen.reference
       returning ${PIX_COLUMNS}`,
      { uncheckedSeconds, limit },
    ),
    'update',
    'pix_charges',
  );
  return rows;
}

/**
 * Stores the order of a confirmed charge, as `storeOrder` does: migration 0007-pix.
 *
 * @param lockTimeoutMs as of `storeOrder`
 */
export async function storePixOrder(
  database: Knex,
  reference: string,
  number: string,
  lockTimeoutMs: number,
): Promise<StoredOrder> {
  const query = database.raw<{ rows: [StoredRow] }>(
    'select * from store_pix_order(:reference, :number, :lockTimeoutMs)',
    { reference, number, lockTimeoutMs },
  );
  return readStored(query, lockTimeoutMs);
}

/**
 * Ends a charge without an order, and forgets its customer. A charge that may have been paid is given up: its money is
 * to be given back.
 *
 * @returns whether it ended now; else it has ended or was ordered before
 */
export async function endPix(database: Knex, reference: string, worker: string, ended: PixEnd): Promise<boolean> {
  const { rows } = await labelQuery(
    database.raw<{ rows: { isEnded: boolean }[] }>(
      `with ended as (
         update payments
         set state = case when :mayBePaid then 'approved' else 'cancelled' end,
           given_up_at = case when :mayBePaid then now() end, worker = :worker
         where reference = :reference and state = 'waiting' and given_up_at is null
         returning reference
       )
       update pix_charges set new_order = null, ended = case when exists (select from ended) then :ended end
       where reference = :reference and new_order is not null
       returning exists (select from ended) as "isEnded"`,
      { reference, worker, ended, mayBePaid: ended !== 'expired' },
    ),
    'update',
    'pix_charges',
  );
  return rows[0]?.isEnded ?? false;
}

/** Whether a charge is still open, and the number of its cart's order; null without an order. */
export async function findEnd(
  database: Knex,
  reference: string,
): Promise<{ isOpen: boolean; number: string | null } | undefined> {
  return database('payments')
    .leftJoin('orders', 'orders.cart_id', 'payments.cart_id')
    .where({ reference })
    .first({ isOpen: database.raw("payments.state = 'waiting'"), number: 'orders.number' });
}
