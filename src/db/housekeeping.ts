import type { Knex } from 'knex';
import type { Logger } from '../log.ts';

const MINUTE_MS = 60_000;
const INTERVAL_MS = 10 * MINUTE_MS;
/** Rows that one round removes at most, so that it is never felt. */
const BATCH = 5_000;

/**
 * Removes sessions that nobody will come back to, now and every 10 minutes: without a cart a day after the last visit,
 * as every client without cookies leaves one per page; with a cart, which goes too, when the cookie has expired. A
 * session with an order stays. Several instances may do so at once.
 *
 * @returns stops it; resolves when the round under way has ended
 */
export function keepHouse(database: Knex, log: Logger): () => Promise<void> {
  async function round(): Promise<void> {
    try {
      const removed = await removeOldSessions(database);
      if (removed > 0) log.info({ removed }, 'removed old sessions');
    } catch (error) {
      log.warn({ err: error }, 'old sessions could not be removed; the next round tries again');
    }
  }

  let underWay = round();
  const timer = setInterval(() => {
    underWay = round();
  }, INTERVAL_MS).unref();
  return async function stopKeepingHouse() {
    clearInterval(timer);
    await underWay;
  };
}

/** @returns how many */
export async function removeOldSessions(database: Knex): Promise<number> {
  return database('sessions')
    .whereIn(
      'id',
      database('sessions')
        .select('id')
        .where((old) =>
          old
            .whereRaw("last_seen_at < now() - interval '1 day'")
            .whereNotExists(database('carts').whereRaw('carts.session_id = sessions.id')),
        )
        .orWhere((expired) =>
          expired
            .whereRaw("last_seen_at < now() - interval '30 days'")
            .whereNotExists(database('orders').whereRaw('orders.session_id = sessions.id')),
        )
        .limit(BATCH),
    )
    .delete();
}
