import { Counter, type WorkerRegistry } from '@techcommerce/cluster-metrics';
import type { Knex } from 'knex';
import { isDiskFull } from '../db/index.ts';
import { labelQuery, NO_TABLE } from '../db/query-labels.ts';
import type { Logger } from '../log.ts';
import { findReading, isFresh, type ReadingKind, takeReading } from './shared-reading.ts';

/*
 * What PostgreSQL itself counts and sees in the shop's database. A role without special rights may read all of it but
 * the transactions of other roles.
 */

/** Columns of `pg_stat_database`, and the counter that shows each. */
const COUNTERS = [
  {
    name: 'shop_db_server_transactions_total',
    help: "Transactions of the shop's database that ended, by outcome: commit, rollback",
    label: 'outcome',
    columns: { xact_commit: 'commit', xact_rollback: 'rollback' },
  },
  {
    name: 'shop_db_server_rows_total',
    help: "Rows of the shop's database by operation: returned (read by scans of tables and indexes), fetched (found by an index), inserted, updated, deleted; a row can be returned and fetched, so do not add them up",
    label: 'operation',
    columns: {
      tup_returned: 'returned',
      tup_fetched: 'fetched',
      tup_inserted: 'inserted',
      tup_updated: 'updated',
      tup_deleted: 'deleted',
    },
  },
  {
    name: 'shop_db_server_blocks_total',
    help: "Blocks of the shop's database that were read, by source: cache (PostgreSQL's own), disk (the system, which may have it in memory)",
    label: 'source',
    columns: { blks_hit: 'cache', blks_read: 'disk' },
  },
  {
    name: 'shop_db_server_deadlocks_total',
    help: "Deadlocks in the shop's database, each ended by failing one transaction",
    columns: { deadlocks: '' },
  },
] as const satisfies readonly CounterDefinition[];

interface CounterDefinition {
  readonly name: string;
  readonly help: string;
  /** Whose values the columns have. */
  readonly label?: string;
  readonly columns: Readonly<Record<string, string>>;
}

type KeyOfUnion<T> = T extends unknown ? keyof T : never;
type Column = KeyOfUnion<(typeof COUNTERS)[number]['columns']>;
type Counts = Readonly<Record<Column, number>>;

const COLUMNS = COUNTERS.flatMap(({ columns }) => Object.keys(columns)) as Column[];

/** PostgreSQL's counts, and the totals that the counters show. */
export interface ServerCounts {
  readonly counts: Counts;
  /** When PostgreSQL was told to count from 0, in seconds since 1970; null for never. */
  readonly resetAt: number | null;
  /** Begin as the counts. They grow as the counts do, and never go back. */
  readonly totals: Counts;
}

/**
 * Reads `pg_stat_database`. PostgreSQL's processes note there what they did about a second later.
 *
 * Its counts fall after a call of `pg_stat_reset()`, after a crash, and when another server takes over. Then the
 * totals stay, and go on from there with the next reading: what a server counted before it was first seen is no growth.
 *
 * @param before the reading of the instances before this one; null when there is none
 * @param own what this instance has seen last. It is ahead of `before` when that was lost, and made anew by an instance
 *   that knew nothing.
 */
export async function readServerCounts(
  database: Knex,
  before: ServerCounts | null,
  own: ServerCounts | null,
): Promise<ServerCounts> {
  const { rows } = await labelQuery(
    database.raw<{ rows: [Counts & { resetAt: number | null }] }>(
      `select ${COLUMNS.join(', ')}, extract(epoch from stats_reset)::double precision as "resetAt"
       from pg_stat_database where datname = current_database()`,
    ),
    'select',
    NO_TABLE,
  );
  const [{ resetAt, ...counts }] = rows;
  const known = before ?? own;
  const startedAnew =
    known !== null && (known.resetAt !== resetAt || COLUMNS.some((column) => counts[column] < known.counts[column]));
  function totalOf(column: Column): number {
    if (known === null) return counts[column];
    const growth = startedAnew ? 0 : counts[column] - known.counts[column];
    return growth + Math.max(known.totals[column], own?.totals[column] ?? 0);
  }
  const totals = Object.fromEntries(COLUMNS.map((column) => [column, totalOf(column)])) as unknown as Counts;
  return { counts, resetAt, totals };
}

/**
 * Makes the function that shows the totals in counters.
 *
 * The counters exist from the first reading on: a step from 0 to what PostgreSQL has counted for months would look like
 * an increase. They keep their values while the database does not answer.
 *
 * @param note added to each HELP
 */
export function showServerCounts(registry: WorkerRegistry, note: string): (reading: ServerCounts) => void {
  let counters: readonly ((totals: Counts) => void)[] | undefined;

  function create(): NonNullable<typeof counters> {
    return COUNTERS.flatMap((definition: CounterDefinition) => {
      const { name, help, label, columns } = definition;
      const labelNames = label === undefined ? [] : [label];
      const counter = new Counter({
        name,
        help: `${help}; ${note}`,
        labelNames,
        continuesTotal: true,
        registers: [registry],
      });
      return Object.entries(columns).map(([column, value]) => {
        const labels = label === undefined ? {} : { [label]: value };
        counter.zero(labels);
        let shown = 0;
        return (totals: Counts) => {
          const total = Math.max(shown, totals[column as Column]);
          counter.inc(labels, total - shown);
          shown = total;
        };
      });
    });
  }

  return function show({ totals }) {
    counters ??= create();
    for (const showTotal of counters) showTotal(totals);
  };
}

/** What PostgreSQL's sessions in the shop's database do at this moment. */
export interface ServerActivity {
  /** Locks that sessions wait for, one for each session at most. */
  readonly waitingLocks: number;
  /** Age of the oldest open transaction, this reader's left out; 0 without one. */
  readonly longestTransactionSeconds: number;
}

/**
 * Reads `pg_locks`, which shows all sessions to every role, and `pg_stat_activity`, which hides the transactions of other
 * roles unless this role has `pg_read_all_stats`.
 */
export async function readServerActivity(database: Knex): Promise<ServerActivity> {
  const { rows } = await labelQuery(
    database.raw<{ rows: [ServerActivity] }>(
      `with sessions as (select pid, backend_type, xact_start from pg_stat_activity where datname = current_database())
       select
         (select count(*) from pg_locks join sessions using (pid) where not granted)::int as "waitingLocks",
         (select coalesce(greatest(extract(epoch from clock_timestamp() - min(xact_start)), 0), 0) from sessions
          where backend_type = 'client backend' and pid <> pg_backend_pid()
         )::double precision as "longestTransactionSeconds"`,
    ),
    'select',
    NO_TABLE,
  );
  return rows[0];
}

/** It can take long, so it is rare, and a reading of its own. */
const SIZE: ReadingKind = { name: 'database size, version 1', freshMs: 30_000 };
/** How often each instance looks for the latest reading. */
const SIZE_INTERVAL_MS = 10_000;

export interface DatabaseSize {
  /** At most a minute old; NaN while it is not known. */
  bytes(): number;
  /** Resolves when the size was read, or could not be. */
  readonly first: Promise<void>;
  /** Resolves when no query is under way. */
  stop(): Promise<void>;
}

/**
 * Reads the size of the database, for all instances together every 30 to 40 seconds.
 *
 * @param database its deadlines end a reading that takes too long: the size is not known then
 * @param onSize called when the size was read, or could not be
 */
export function watchDatabaseSize(database: Knex, log: Logger, onSize: () => void): DatabaseSize {
  let bytes = Number.NaN;
  let reads = true;

  async function newestReading(): Promise<number> {
    const latest = await findReading<number>(database, SIZE);
    if (latest && isFresh(latest, SIZE)) return latest.reading;
    const taken = await takeReading(database, SIZE, readDatabaseSize);
    const newest = taken ?? (await findReading<number>(database, SIZE));
    return newest?.reading ?? Number.NaN;
  }

  async function look(): Promise<void> {
    try {
      bytes = await newestReading().catch((error) => {
        // The reading can't be stored for the other instances, so each reads for itself.
        if (isDiskFull(error)) return readDatabaseSize(database);
        throw error;
      });
      reads = true;
    } catch (error) {
      bytes = Number.NaN;
      if (reads) log.warn({ err: error }, 'the size of the database could not be read');
      reads = false;
    }
    onSize();
  }

  let underWay: Promise<void> | undefined;
  function tick(): Promise<void> {
    underWay ??= look().finally(() => {
      underWay = undefined;
    });
    return underWay;
  }
  const timer = setInterval(tick, SIZE_INTERVAL_MS).unref();
  return {
    bytes: () => bytes,
    first: tick(),
    async stop() {
      clearInterval(timer);
      await underWay;
    },
  };
}

/** Looks at every file of the database: it takes milliseconds, and with very many tables more than a second. */
async function readDatabaseSize(database: Knex): Promise<number> {
  const { rows } = await labelQuery(
    database.raw<{ rows: [{ bytes: number }] }>('select pg_database_size(current_database()) as bytes'),
    'select',
    NO_TABLE,
  );
  return rows[0].bytes;
}
