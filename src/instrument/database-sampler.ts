import { Gauge, SAMPLE_INTERVAL_MS, sampleRegularly, type WorkerRegistry } from '@techcommerce/cluster-metrics';
import type { Knex } from 'knex';
import { askWritable, isDiskFull } from '../db/index.ts';
import { labelQuery, NO_TABLE } from '../db/query-labels.ts';
import type { Logger } from '../log.ts';
import { withDeadline } from '../promises.ts';
import {
  readServerActivity,
  readServerCounts,
  type ServerActivity,
  type ServerCounts,
  showServerCounts,
  watchDatabaseSize,
} from './database-statistics.ts';
import { findReading, isFresh, type ReadingKind, type SharedReading, takeReading } from './shared-reading.ts';

const SECOND_MS = 1000;
/** With the interval between two samples, a gauge of a database that falls silent becomes unknown within a second. */
const GAUGE_DEADLINE_MS = SECOND_MS - SAMPLE_INTERVAL_MS;
/** No value is shown for longer than this after it was read, the interval to the next sample included. */
const OLDEST_MS = 2 * SECOND_MS;
/** A database that answers within this is up, however slow it is. */
const UP_DEADLINE_MS = SECOND_MS;

/** Everything that the gauges read from the database, as `gauge_readings` keeps it. */
export interface ShopReading {
  readonly connections: Readonly<Record<ServerState, number>>;
  /** PostgreSQL's `max_connections`. */
  readonly connectionsMax: number;
  readonly sessions: Sessions;
  readonly unsettledPayments: number;
  readonly activity: ServerActivity;
  readonly server: ServerCounts;
}

/** To be raised whenever {@link ShopReading} changes. Every instance looks for it twice a second. */
const READING: ReadingKind = { name: 'shop gauges, version 3', freshMs: 400 };

/**
 * Label `state` of `shop_db_server_connections`. PostgreSQL has more states, and hides those of other users; they are
 * `other`.
 */
const SERVER_STATES = ['active', 'idle', 'idle_in_transaction', 'idle_in_transaction_aborted', 'other'] as const;
type ServerState = (typeof SERVER_STATES)[number];

const SAME_EVERYWHERE = 'shop-wide value, the same on every instance: across instances take max, never sum';
const GAUGE_NOTE = `${SAME_EVERYWHERE}; NaN while the database does not answer`;
const COUNTER_NOTE = `pg_stat_database, kept when PostgreSQL starts to count anew; ${SAME_EVERYWHERE}`;

interface ReadGauge {
  readonly name: string;
  readonly help: string;
  readonly series: readonly ReadSeries[];
}

interface ReadSeries {
  readonly labels: { readonly state?: ServerState };
  /** @param sizeBytes of the database, NaN while it is not known */
  valueIn(reading: ShopReading, sizeBytes: number): number;
}

/** The gauges that are read from the database. To add one, define it here and read its value in {@link readShop}. */
const GAUGES: readonly ReadGauge[] = [
  {
    name: 'shop_active_sessions',
    help: "Visitors of the last 5 minutes: browsers that sent the shop's cookie back or added to a cart; each is noted every 15 to 25 seconds",
    series: [{ labels: {}, valueIn: ({ sessions }) => sessions.active }],
  },
  {
    name: 'shop_active_cart_sessions',
    help: 'Visitors of the last 30 minutes with an open, non-empty cart; each is noted every 15 to 25 seconds',
    series: [{ labels: {}, valueIn: ({ sessions }) => sessions.withCart }],
  },
  {
    name: 'shop_db_server_connections',
    help: "Connections to the shop's database as PostgreSQL counts them (pg_stat_activity), by state",
    series: SERVER_STATES.map((state) => ({ labels: { state }, valueIn: ({ connections }) => connections[state] })),
  },
  {
    name: 'shop_payments_unsettled',
    help: 'Payments that were started more than 10 seconds ago, may have taken money, and have no order; a Pix that waits to be paid is none of them',
    series: [{ labels: {}, valueIn: ({ unsettledPayments }) => unsettledPayments }],
  },
  {
    name: 'shop_db_server_connections_max',
    help: 'Connections that PostgreSQL grants to all of its databases together (max_connections)',
    series: [{ labels: {}, valueIn: ({ connectionsMax }) => connectionsMax }],
  },
  {
    name: 'shop_db_server_waiting_locks',
    help: "Sessions in the shop's database that wait for a lock, of every role (pg_locks)",
    series: [{ labels: {}, valueIn: ({ activity }) => activity.waitingLocks }],
  },
  {
    name: 'shop_db_server_longest_transaction_seconds',
    help: "Age of the oldest open transaction in the shop's database (pg_stat_activity), 0 without one; those of other roles are seen only if the shop's role has pg_read_all_stats",
    series: [{ labels: {}, valueIn: ({ activity }) => activity.longestTransactionSeconds }],
  },
  {
    name: 'shop_db_server_size_bytes',
    help: "Size of the shop's database on disk (pg_database_size), up to a minute old",
    series: [{ labels: {}, valueIn: (_reading, sizeBytes) => sizeBytes }],
  },
];

export interface DatabaseSampler {
  /** Whether the last sample was answered in time. */
  up(): boolean;
  /** Resolves when the first sample is taken. */
  readonly first: Promise<void>;
  stop(): Promise<void>;
}

/**
 * Keeps `shop_db_up` and {@link GAUGES}, from a reading that all instances share. The gauges are NaN while the database
 * does not answer. A scrape shows the last sample and waits for nothing.
 *
 * @param database with deadlines that end the queries of a sample that took too long
 */
export function sampleDatabase(registry: WorkerRegistry, database: Knex, log: Logger): DatabaseSampler {
  const upGauge = new Gauge({
    name: 'shop_db_up',
    help: 'Whether the database answers and takes writes: 1 or 0',
    registers: [registry],
  });
  const showGauges = createGauges(registry);
  const showCounts = showServerCounts(registry, COUNTER_NOTE);
  let up: boolean | undefined;
  let reads = true;
  /** What the gauges show; null while they are NaN. */
  let shown: ShopReading | null = null;
  /** The last counts that were shown. */
  let counts: ServerCounts | null = null;

  function noteUp(isUp: boolean, error?: unknown): void {
    if (!isUp && up !== false) log.error({ err: error }, 'the database does not answer, or takes no writes');
    if (isUp && up === false) log.info('the database answers again');
    up = isUp;
    upGauge.set(isUp ? 1 : 0);
  }

  function noteReading(error?: unknown): void {
    if (error && reads) log.warn({ err: error }, 'the gauges could not be read from the database');
    reads = !error;
  }

  /** The latest reading, or a new one where that is due and comes in time. */
  async function newestReading(latest: SharedReading<ShopReading> | null): Promise<SharedReading<ShopReading> | null> {
    if (latest && isFresh(latest, READING)) return latest;
    const startedMs = performance.now();
    const taken = takeReading<ShopReading>(database, READING, (transaction, before) =>
      foldAndReadShop(transaction, before?.server ?? null, counts),
    ).catch((error) => withoutWriting(error, latest));
    underWay.push(taken);
    try {
      const reading = await inTime(taken, GAUGE_DEADLINE_MS);
      noteReading();
      if (reading) return reading;
    } catch (error) {
      noteReading(error);
    }
    return latest && { ...latest, ageMs: latest.ageMs + performance.now() - startedMs };
  }

  /** On a full disk, no reading can be stored for the other instances, so each reads for itself. */
  async function withoutWriting(
    error: unknown,
    latest: SharedReading<ShopReading> | null,
  ): Promise<SharedReading<ShopReading>> {
    if (!isDiskFull(error)) throw error;
    return { reading: await readShop(database, latest?.reading.server ?? null, counts), ageMs: 0 };
  }

  function show(reading: ShopReading | null): void {
    shown = reading;
    showGauges(shown, size.bytes());
    if (!shown) return;
    counts = shown.server;
    showCounts(counts);
  }

  async function sampleGauges(found: Promise<SharedReading<ShopReading> | null>): Promise<void> {
    try {
      const newest = await newestReading(await inTime(found, GAUGE_DEADLINE_MS));
      show(newest && newest.ageMs <= OLDEST_MS - SAMPLE_INTERVAL_MS ? newest.reading : null);
    } catch {
      show(null);
    }
  }

  async function sampleUp(answers: Promise<unknown>): Promise<void> {
    try {
      await inTime(answers, UP_DEADLINE_MS);
      noteUp(true);
    } catch (error) {
      noteUp(false, error);
    }
  }

  const size = watchDatabaseSize(database, log, () => show(shown));
  let underWay: Promise<unknown>[] = [];
  const sampler = sampleRegularly(async function takeSample() {
    const writable = askWritable(database);
    const found = findReading<ShopReading>(database, READING);
    underWay = [writable, found];
    await Promise.all([sampleUp(Promise.all([found, writable])), sampleGauges(found)]);
    // The next sample starts after all queries of this one have ended, so that they never pile up in a slow database.
    await Promise.allSettled(underWay);
  });

  const first = Promise.all([sampler.first, inTime(size.first, GAUGE_DEADLINE_MS).catch(() => {})]);
  return {
    up: () => up === true,
    first: first.then(() => {}),
    async stop() {
      await Promise.all([sampler.stop(), size.stop()]);
    },
  };
}

/** @returns shows a reading; null makes the gauges NaN */
function createGauges(registry: WorkerRegistry): (reading: ShopReading | null, sizeBytes: number) => void {
  const shows = GAUGES.flatMap(({ name, help, series }) => {
    const gauge = new Gauge({
      name,
      help: `${help}; ${GAUGE_NOTE}`,
      labelNames: [...new Set(series.flatMap(({ labels }) => Object.keys(labels)))],
      aggregator: 'max',
      registers: [registry],
    });
    return series.map(({ labels, valueIn }) => {
      gauge.zero(labels);
      return (reading: ShopReading | null, sizeBytes: number) =>
        gauge.set(labels, reading ? valueIn(reading, sizeBytes) : Number.NaN);
    });
  });
  return function show(reading, sizeBytes) {
    for (const showSeries of shows) showSeries(reading, sizeBytes);
  };
}

function inTime<T>(work: Promise<T>, deadlineMs: number): Promise<T> {
  return withDeadline(work, deadlineMs, () => new Error(`no answer within ${deadlineMs} ms`));
}

/** Reads it all, one query after the other. Writes nothing. */
async function readShop(
  database: Knex,
  ...known: [before: ServerCounts | null, own: ServerCounts | null]
): Promise<ShopReading> {
  return {
    connections: await readServerConnections(database),
    connectionsMax: await readConnectionsMax(database),
    sessions: await readSessions(database),
    unsettledPayments: await readUnsettledPayments(database),
    activity: await readServerActivity(database),
    server: await readServerCounts(database, ...known),
  };
}

/**
 * Makes room for the next changes, and reads it all; in the transaction of a shared reading.
 *
 * @param known see {@link readServerCounts}
 */
export async function foldAndReadShop(
  transaction: Knex.Transaction,
  ...known: [before: ServerCounts | null, own: ServerCounts | null]
): Promise<ShopReading> {
  await foldSessionChanges(transaction);
  return readShop(transaction, ...known);
}

/** https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-ACTIVITY-VIEW */
const STATES: Record<string, ServerState> = {
  active: 'active',
  idle: 'idle',
  'idle in transaction': 'idle_in_transaction',
  'idle in transaction (aborted)': 'idle_in_transaction_aborted',
};

/**
 * Counts the connections to this database, this reader's own included. Of other roles' sessions, a role without
 * `pg_read_all_stats` sees the user alone.
 */
async function readServerConnections(database: Knex): Promise<ShopReading['connections']> {
  const rows: { state: string | null; connections: number }[] = await database('pg_stat_activity')
    .select('state')
    .count({ connections: '*' })
    .where('datname', database.raw('current_database()'))
    .whereRaw("(backend_type = 'client backend' or (backend_type is null and usesysid is not null))")
    .groupBy('state');
  const counts = { active: 0, idle: 0, idle_in_transaction: 0, idle_in_transaction_aborted: 0, other: 0 };
  for (const { state, connections } of rows) counts[STATES[state ?? ''] ?? 'other'] += connections;
  return counts;
}

async function readConnectionsMax(database: Knex): Promise<number> {
  const { rows } = await labelQuery(
    database.raw<{ rows: [{ max: number }] }>(`select current_setting('max_connections')::int as max`),
    'select',
    NO_TABLE,
  );
  return rows[0].max;
}

export interface Sessions {
  /** Seen in the last 5 minutes. */
  active: number;
  /** With an open cart that has an item, seen in the last 30 minutes. */
  withCart: number;
}

/** Label `table` of the queries on the kept counts: both tables are one count. */
const COUNTS = 'session_counts';

/**
 * Reads how many sessions are active from the counts that triggers keep (migration 0004), to the second. Takes as long
 * as 30 minutes have seconds, however many sessions there are.
 */
export async function readSessions(database: Knex): Promise<Sessions> {
  const { rows } = await labelQuery(
    database.raw<{ rows: [Sessions] }>(
      `select
         coalesce(sum(sessions) filter (where second > second_of(now() - interval '5 minutes')), 0)::bigint as active,
         coalesce(sum(with_cart), 0)::bigint as "withCart"
       from (select * from session_counts union all select * from session_changes) as counted
       where second > second_of(now() - interval '30 minutes')`,
    ),
    'select',
    COUNTS,
  );
  return rows[0];
}

/** Changes that one reading moves at most, so that it is done in time also after a bulk load. */
const CHANGES_MOVED = 20_000;

/** Moves changes into the counts, and removes counts that are too old for every gauge. One caller at a time. */
export async function foldSessionChanges(database: Knex): Promise<void> {
  await labelQuery(
    database.raw(
      `with moved as (
         delete from session_changes
         where ctid = any (array(select ctid from session_changes limit ${CHANGES_MOVED}))
         returning *
       ), forgotten as (
         delete from session_counts where second < second_of(now() - interval '32 minutes')
       )
       insert into session_counts as kept (second, sessions, with_cart)
       select second, sum(sessions), sum(with_cart) from moved
       where second > second_of(now() - interval '31 minutes') group by second
       on conflict (second) do update
       set sessions = kept.sessions + excluded.sessions, with_cart = kept.with_cart + excluded.with_cart`,
    ),
    'update',
    COUNTS,
  );
}

/** Counts payments that should have been settled by now: a checkout takes seconds at most. */
async function readUnsettledPayments(database: Knex): Promise<number> {
  const [row]: { payments: number }[] = await database('payments')
    .whereIn('state', ['started', 'approved'])
    .whereRaw("created_at < now() - interval '10 seconds'")
    .count({ payments: '*' });
  return row?.payments ?? 0;
}
