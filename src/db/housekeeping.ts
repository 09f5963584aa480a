import type { Knex } from 'knex';
import type { Logger } from '../log.ts';

const MINUTE_MS = 60_000;
const INTERVAL_MS = 10 * MINUTE_MS;
/** Sessions that one statement looks at: few enough to be done in time on any disk, and never felt. */
const BATCH = 500;

/**
 * Removes sessions that nobody will come back to, now and every 10 minutes: without a cart a day after the last visit,
 * as every client without cookies leaves one per page; with a cart, which goes too, when the cookie has expired. A
 * session with an order stays. Several instances may do so at once.
 *
 * @returns stops it; resolves when the statement under way has ended
 */
export function keepHouse(database: Knex, log: Logger): () => Promise<void> {
  let stopped = false;

  async function round(): Promise<void> {
    try {
      const removed = await removeOldSessions(database, { batch: BATCH, isStopped: () => stopped });
      if (removed > 0) log.info({ removed }, 'removed old sessions');
    } catch (error) {
      log.warn({ err: error }, 'not all old sessions could be removed; the next round tries again');
    }
  }

  let underWay: Promise<void> | null = null;
  function begin(): void {
    underWay ??= round().finally(() => {
      underWay = null;
    });
  }
  begin();
  const timer = setInterval(begin, INTERVAL_MS).unref();
  return async function stopKeepingHouse() {
    stopped = true;
    clearInterval(timer);
    await underWay;
  };
}

/**
 * Walks over all sessions that are old enough, the oldest first, and removes those that may go. Each statement looks at
 * one batch only, however many sessions stay, and a batch that fails does not keep those behind it.
 *
 * @returns how many were removed
 * @throws the first failure, after the walk
 */
export async function removeOldSessions(
  database: Knex,
  { batch, isStopped = () => false }: { batch: number; isStopped?: () => boolean },
): Promise<number> {
  let removed = 0;
  let failure: unknown;
  for (let seen = await findOldSessions(database, batch); seen.length > 0 && !isStopped(); ) {
    try {
      removed += await removeThose(database, seen);
    } catch (error) {
      failure ??= error;
    }
    seen = await findOldSessions(database, batch, seen.at(-1));
  }
  if (failure !== undefined) throw failure;
  return removed;
}

interface SeenSession {
  id: string;
  /** As text, since a `Date` has no microseconds. */
  lastSeen: string;
}

function findOldSessions(database: Knex, limit: number, after?: SeenSession): Promise<SeenSession[]> {
  const old = database('sessions')
    .whereRaw("last_seen_at < now() - interval '1 day'")
    .orderBy(['last_seen_at', 'id'])
    .limit(limit)
    .select('id', { lastSeen: database.raw('last_seen_at::text') });
  if (after) old.whereRaw('(last_seen_at, id) > (?::timestamptz, ?::uuid)', [after.lastSeen, after.id]);
  return old;
}

/** A visitor who has come back meanwhile, or comes back in this moment, stays: their row is fresh, or locked. */
function removeThose(database: Knex, seen: readonly SeenSession[]): Promise<number> {
  const old = database('sessions')
    .whereIn(
      'id',
      seen.map(({ id }) => id),
    )
    .where((either) =>
      either
        .where((cartless) =>
          cartless
            .whereRaw("last_seen_at < now() - interval '1 day'")
            .whereNotExists(database('carts').whereRaw('carts.session_id = sessions.id')),
        )
        .orWhere((expired) =>
          expired
            .whereRaw("last_seen_at < now() - interval '30 days'")
            .whereNotExists(database('orders').whereRaw('orders.session_id = sessions.id')),
        ),
    )
    .forUpdate()
    .skipLocked()
    .select('id');
  return database('sessions').whereIn('id', old).delete();
}
