import type { Knex } from 'knex';
import type { Logger } from '../log.ts';
import { labelQuery } from './query-labels.ts';

const MINUTE_MS = 60_000;
const SESSIONS_INTERVAL_MS = 10 * MINUTE_MS;
const PIX_INTERVAL_MS = 10 * MINUTE_MS;
/** Often, because clients' addresses must not be kept for longer than they are needed. */
const RATE_LIMITS_INTERVAL_MS = 1 * MINUTE_MS;
/** Rows of one statement: few enough to be done in time on any disk, unnoticed by visitors. */
const BATCH = 500;

/**
 * Removes rows that are no longer needed, now and regularly: old sessions and charges by Pix every 10 minutes, ended
 * windows of the rate limit every minute. Several instances may do so at once.
 *
 * @returns stops it; resolves when the statement under way has ended
 */
export function startCleanup(database: Knex, log: Logger): () => Promise<void> {
  let stopped = false;
  const options = { batch: BATCH, isStopped: () => stopped };
  const stops = [
    repeat(SESSIONS_INTERVAL_MS, async () => {
      const removed = await removeOldSessions(database, options);
      if (removed > 0) log.info({ removed }, 'removed old sessions');
    }),
    repeat(PIX_INTERVAL_MS, () => removeOldPix(database, options)),
    repeat(RATE_LIMITS_INTERVAL_MS, () => removeEndedRateLimits(database, options)),
  ];

  function repeat(intervalMs: number, round: () => Promise<unknown>): () => Promise<void> {
    let underWay: Promise<void> | null = null;
    async function attempt(): Promise<void> {
      try {
        await round();
      } catch (error) {
        log.warn({ err: error }, 'not all old rows could be removed; the next round tries again');
      }
      underWay = null;
    }
    function begin(): void {
      underWay ??= attempt();
    }
    begin();
    const timer = setInterval(begin, intervalMs).unref();
    return async function stop() {
      clearInterval(timer);
      await underWay;
    };
  }

  return async function stopCleanup() {
    stopped = true;
    await Promise.all(stops.map((stop) => stop()));
  };
}

interface BatchOptions {
  readonly batch: number;
  isStopped?(): boolean;
}

/** Due rows are found by an index that holds no others, so a round costs as much as there is to remove. */
const DUE = {
  /** Not checked yet, and not seen for a day. */
  first: { by: 'last_seen_at', where: "kept_until is null and last_seen_at < now() - interval '1 day'" },
  /** Checked before, and kept until now. */
  again: { by: 'kept_until', where: "kept_until < now() and kept_until < 'infinity'" },
} as const;

/**
 * Removes abandoned sessions. A session without a cart is removed a day after its last visit. A session with
 * a cart is removed with it when the cookie has expired. A session with an order stays.
 *
 * Each statement handles one batch. A session that stays is marked with the time of its next check (`kept_until`; never
 * for one with an order), so that later rounds skip it. After a batch that fails the others go on, and they are
 * smaller, in case it was too slow.
 *
 * @returns how many were removed
 * @throws the first failure, after all batches
 */
export async function removeOldSessions(
  database: Knex,
  { batch, isStopped = () => false }: BatchOptions,
): Promise<number> {
  let removed = 0;
  let size = batch;
  let failure: unknown;
  for (const due of [DUE.first, DUE.again]) {
    for (let seen = await findDue(database, due, size); seen.length > 0 && !isStopped(); ) {
      try {
        removed += await removeOrKeep(database, seen);
      } catch (error) {
        failure ??= error;
        size = Math.ceil(size / 2);
      }
      seen = await findDue(database, due, size, seen.at(-1));
    }
  }
  if (failure !== undefined) throw failure;
  return removed;
}

interface DueSession {
  id: string;
  /** As text, since a `Date` has no microseconds. */
  at: string;
}

function findDue(
  database: Knex,
  { by, where }: (typeof DUE)[keyof typeof DUE],
  limit: number,
  after?: DueSession,
): Promise<DueSession[]> {
  const due = database('sessions')
    .whereRaw(where)
    .orderBy([by, 'id'])
    .limit(limit)
    .select('id', { at: database.raw('??::text', by) });
  if (after) due.whereRaw('(??, id) > (?::timestamptz, ?::uuid)', [by, after.at, after.id]);
  return due;
}

/**
 * Keeps the session of a visitor who has come back meanwhile, or comes back at this moment: its row is fresh, or
 * locked.
 */
async function removeOrKeep(database: Knex, seen: readonly DueSession[]): Promise<number> {
  const { rows } = await labelQuery(
    database.raw<{ rows: [{ removed: number }] }>(
      `with locked as (
         select id, last_seen_at from sessions where id = any(?::uuid[]) for update skip locked
       ), judged as materialized (
         select id,
           case
             when last_seen_at >= now() - interval '1 day' then null
             when exists (select from orders where session_id = locked.id) then 'infinity'
             when exists (select from carts where session_id = locked.id) then last_seen_at + interval '30 days'
             else '-infinity'
           end as keep_until
         from locked
       ), kept as (
         update sessions set kept_until = keep_until from judged
         where sessions.id = judged.id and (keep_until is null or keep_until > now())
           and kept_until is distinct from keep_until
       ), removed as (
         delete from sessions using judged where sessions.id = judged.id and keep_until <= now() returning 1
       )
       select count(*) as removed from removed`,
      [seen.map(({ id }) => id)],
    ),
    'delete',
    'sessions',
  );
  return rows[0].removed;
}

/** Removes the counts of clients whose window has ended. */
export function removeEndedRateLimits(database: Knex, options: BatchOptions): Promise<void> {
  return removeWhere(database, 'rate_limits', 'address', 'window_ends_at < now()', options);
}

/**
 * Removes charges by Pix a day after their expiry: until then, their page says how they ended. The customer's data was
 * removed at the end itself.
 */
export function removeOldPix(database: Knex, options: BatchOptions): Promise<void> {
  const where = "new_order is null and expires_at < now() - interval '1 day'";
  return removeWhere(database, 'pix_charges', 'reference', where, options);
}

async function removeWhere(
  database: Knex,
  table: string,
  key: string,
  where: string,
  { batch, isStopped = () => false }: BatchOptions,
): Promise<void> {
  let removed = batch;
  while (removed === batch && !isStopped()) {
    const due = database(table).whereRaw(where).limit(batch).forUpdate().skipLocked().select(key);
    removed = await database(table).whereIn(key, due).delete();
  }
}
