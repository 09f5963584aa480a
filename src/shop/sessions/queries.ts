import type { Knex } from 'knex';
import { labelQuery } from '../../db/query-labels.ts';

/** How old `last_seen_at` may grow before a visit writes it again. */
const REFRESH_SECONDS = 15;

/**
 * Notes a visit, and reads the number that every page shows at the cart, in one round trip.
 *
 * The row is written only when it has become stale, so most visits only read.
 *
 * @param seen false: write nothing. Default true
 * @returns units in the open cart, or null when no such session is stored
 */
export async function visit(
  database: Knex,
  sessionId: string,
  { seen = true }: { seen?: boolean } = {},
): Promise<{ cartCount: number } | null> {
  const { rows } = await labelQuery(
    database.raw<{ rows: { known: boolean; cartCount: number }[] }>(
      `with seen as (
         update sessions set last_seen_at = now()
         where id = :sessionId and :seen::boolean and last_seen_at < now() - make_interval(secs => ${REFRESH_SECONDS})
       )
       select
         exists (select from sessions where id = :sessionId) as known,
         (select coalesce(sum(cart_items.quantity), 0)::int
          from carts join cart_items on cart_items.cart_id = carts.id
          where carts.session_id = :sessionId and carts.status = 'open') as "cartCount"`,
      { sessionId, seen },
    ),
    'select',
    'sessions',
  );
  const row = rows[0];
  return row?.known ? { cartCount: row.cartCount } : null;
}

/** Stores a session; doing it twice is no mistake. */
export async function storeSession(database: Knex, sessionId: string): Promise<void> {
  await database('sessions').insert({ id: sessionId }).onConflict('id').ignore();
}
