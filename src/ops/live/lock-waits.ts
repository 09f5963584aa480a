import type { Knex } from 'knex';
import { labelQuery } from '../../db/query-labels.ts';
import type { Logger } from '../../log.ts';
import type { LockWaitRow } from './model.ts';

const SECOND_MS = 1000;
/** The oldest are shown: the others usually wait for the same session. */
const MOST_WAITS = 5;
const MOST_CHARACTERS = 300;
/** Pages give up after 1.25 s. A transaction that is open for so long is no page that is merely busy. */
const LONG_SECONDS = 1;
const LOG_INTERVAL_MS = 10 * SECOND_MS;

export interface LockWatch {
  /**
   * Called once a second. Asks the database only while sessions wait, and not while the last question is unanswered.
   *
   * @param waitingLocks the sessions that wait for a lock, `shop_db_server_waiting_locks`
   */
  tick(waitingLocks: number): void;
  /** The longest first. Empty while no session waits, or while the database does not answer. */
  waits(): readonly LockWaitRow[];
  stop(): Promise<void>;
}

/**
 * Watches who waits for whom in the database, for the live page, and logs it: the statements of a page that fails at a lock
 * are gone when its error is logged.
 *
 * @param database with deadlines; any role may ask, but sees the statements of its own sessions only
 */
export function watchLocks(database: Knex, log: Logger): LockWatch {
  let waits: readonly LockWaitRow[] = [];
  let underWay: Promise<void> | null = null;
  let toldMs = Number.NEGATIVE_INFINITY;

  async function read(): Promise<void> {
    try {
      waits = await readLockWaits(database);
      tell();
    } catch (error) {
      waits = [];
      log.debug({ err: error }, 'who waits for a lock could not be read from the database');
    }
  }

  function tell(): void {
    // PostgreSQL hides the age of another role's transaction, and none of those is a page of the shop.
    const long = waits.find(({ blocking: { state, seconds } }) => state === '' || Number(seconds) >= LONG_SECONDS);
    if (!long || performance.now() - toldMs < LOG_INTERVAL_MS) return;
    toldMs = performance.now();
    log.warn({ ...long, waits: waits.length }, 'a statement waits for a lock that another session holds');
  }

  return {
    tick(waitingLocks) {
      if (!(waitingLocks > 0)) {
        waits = [];
        return;
      }
      underWay ??= read().finally(() => {
        underWay = null;
      });
    },
    waits: () => waits,
    async stop() {
      await underWay;
    },
  };
}

interface Row {
  readonly waitingApplication: string;
  readonly waitingStatement: string;
  readonly waitingSeconds: number;
  readonly pid: number;
  readonly application: string | null;
  readonly state: string | null;
  readonly statement: string | null;
  readonly seconds: number | null;
}

/**
 * Reads which statements of this database wait for a lock, and for whom.
 *
 * https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-INFO-SESSION: `pg_blocking_pids` locks the lock
 * manager for a moment, so it is called for sessions that wait only.
 */
export async function readLockWaits(database: Knex): Promise<LockWaitRow[]> {
  const { rows } = await labelQuery(
    database.raw<{ rows: Row[] }>(
      `select
         waiting.application_name as "waitingApplication",
         waiting.query as "waitingStatement",
         extract(epoch from clock_timestamp() - waiting.query_start)::double precision as "waitingSeconds",
         holder.pid,
         blocking.application_name as application,
         blocking.state,
         case when blocking.usesysid = waiting.usesysid then blocking.query end as statement,
         extract(epoch from clock_timestamp() - blocking.xact_start)::double precision as seconds
       from pg_stat_activity as waiting
       cross join lateral unnest(pg_blocking_pids(waiting.pid)) as holder (pid)
       left join pg_stat_activity as blocking on blocking.pid = holder.pid
       where waiting.datname = current_database() and waiting.wait_event_type = 'Lock'
       order by waiting.query_start, holder.pid limit ${MOST_WAITS}`,
    ),
    'select',
    'pg_stat_activity',
  );
  return rows.map((row) => ({
    waiting: {
      application: row.waitingApplication,
      statement: withoutValues(row.waitingStatement),
      seconds: row.waitingSeconds,
    },
    blocking: {
      pid: row.pid,
      application: row.application ?? '',
      state: row.state ?? '',
      statement: withoutValues(row.statement ?? ''),
      seconds: row.seconds,
    },
  }));
}

/**
 * A statement as it may be shown. The shop's own have `$1` for each value. One that a person typed in psql may have a
 * customer's address in it: it ends at its first string or comment, and its numbers are masked.
 */
export function withoutValues(statement: string): string {
  const [shown = ''] = statement.split(/'|\$\w*\$|--|\/\*/, 1);
  const masked = shown
    .replace(/\s+/g, ' ')
    .replace(/(?<![\w$"])\d[\w.]*/g, '?')
    .trim();
  const isCut = shown.length < statement.length || masked.length > MOST_CHARACTERS;
  return masked.slice(0, MOST_CHARACTERS) + (isCut ? ' …' : '');
}
