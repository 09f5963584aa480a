import type { Knex } from 'knex';
import { labelQuery } from '../../db/query-labels.ts';

/**
 * Notes that visitors are here now, and stores the sessions that have no row. Leaves out sessions that were noted in the
 * last seconds, by another worker or by an add to the cart.
 *
 * Rows are locked in the order of their ids, so that two workers never wait for each other in a circle.
 */
export async function noteVisits(database: Knex, sessionIds: readonly string[]): Promise<void> {
  await labelQuery(
    database.raw(
      `insert into sessions (id)
       select id from unnest(?::uuid[]) as visitor (id)
       where not exists (
         select from sessions where sessions.id = visitor.id and last_seen_at > now() - interval '10 seconds')
       order by id
       on conflict (id) do update set last_seen_at = now()`,
      [[...sessionIds]],
    ),
    'insert',
    'sessions',
  );
}
