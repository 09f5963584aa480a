import { Gauge, SAMPLE_INTERVAL_MS, sampleRegularly, type WorkerRegistry } from '@techcommerce/cluster-metrics';
import type { Knex } from 'knex';
import { askWritable, isDiskFull } from '../db/index.ts';
import { labelQuery, NO_TABLE } from '../db/query-labels.ts';
import type { Logger } from '../log.ts';
import { withDeadline } from '../promises.ts';
import { findReading, isFresh, type SharedReading, takeReading } from './shared-reading.ts';

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
}

/**
 * To be raised whenever {@link ShopReading} changes: instances of two versions then do not take each other's readings.
 */
const READING = 'shop gauges, version 2';

/**
 * Label `state` of `shop_db_server_connections`. PostgreSQL has more states, and hides those of other users; they are
 * `other`.
 */
const SERVER_STATES = ['active', 'idle', 'idle_in_transaction', 'idle_in_transaction_aborted', 'other'] as const;
type ServerState = (typeof SERVER_STATES)[number];

const WHOLE_SHOP =
  'shop-wide value, the same on every instance: across instances take max, never sum; NaN while the database does not answer';
/** `visit` in shop/sessions writes a visit down only when the last one that it wrote is this old. */
const ROUGHLY = ', as noted every 15 seconds';

interface ReadGauge {
  readonly name: string;
  readonly help: string;
  readonly series: readonly ReadSeries[];
}

interface ReadSeries {
  readonly labels: { readonly state?: ServerState };
  valueIn(reading: ShopReading): number;
}

/** The gauges that are read from the database. To add one, define it here and read its value in {@link readShop}. */
const GAUGES: readonly ReadGauge[] = [
  {
    name: 'shop_active_sessions',
    help: `Sessions seen in the last 5 minutes${ROUGHLY}`,
    series: [{ labels: {}, valueIn: ({ sessions }) => sessions.active }],
  },
  {
    name: 'shop_active_cart_sessions',
    help: `Sessions with an open, non-empty cart seen in the last 30 minutes${ROUGHLY}`,
    series: [{ labels: {}, valueIn: ({ sessions }) => sessions.withCart }],
  },
  {
    name: 'shop_db_server_connections',
    help: "Connections to the shop's database as PostgreSQL counts them (pg_stat_activity), by state",
    series: SERVER_STATES.map((state) => ({ labels: { state }, valueIn: ({ connections }) => connections[state] })),
  },
  {
    name: 'shop_payments_unsettled',
    help: 'Payments that were started more than 10 seconds ago and are neither ordered nor declined nor cancelled',
    series: [{ labels: {}, valueIn: ({ unsettledPayments }) => unsettledPayments }],
  },
  {
    name: 'shop_db_server_connections_max',
    help: 'Connections that PostgreSQL grants to all of its databases together (max_connections)',
    series: [{ labels: {}, valueIn: ({ connectionsMax }) => connectionsMax }],
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
  const show = createGauges(registry);
  let up: boolean | undefined;
  let reads = true;

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
    if (latest && isFresh(latest)) return latest;
    const startedMs = performance.now();
    const taken = takeReading(database, READING, foldAndReadShop).catch(withoutWriting);
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
  async function withoutWriting(error: unknown): Promise<SharedReading<ShopReading>> {
    if (!isDiskFull(error)) throw error;
    return { reading: await readShop(database), ageMs: 0 };
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

  let underWay: Promise<unknown>[] = [];
  const sampler = sampleRegularly(async function takeSample() {
    const writable = askWritable(database);
    const found = findReading<ShopReading>(database, READING);
    underWay = [writable, found];
    await Promise.all([sampleUp(Promise.all([found, writable])), sampleGauges(found)]);
    // The next sample starts after all queries of this one have ended, so that they never pile up in a slow database.
    await Promise.allSettled(underWay);
  });

  return { up: () => up === true, first: sampler.first, stop: sampler.stop };
}

/** @returns shows a reading; null makes the gauges NaN */
function createGauges(registry: WorkerRegistry): (reading: ShopReading | null) => void {
  const shows = GAUGES.flatMap(({ name, help, series }) => {
    const gauge = new Gauge({
      name,
      help: `${help}; ${WHOLE_SHOP}`,
      labelNames: [...new Set(series.flatMap(({ labels }) => Object.keys(labels)))],
      aggregator: 'max',
      registers: [registry],
    });
    return series.map(({ labels, valueIn }) => {
      gauge.zero(labels);
      return (reading: ShopReading | null) => gauge.set(labels, reading ? valueIn(reading) : Number.NaN);
    });
  });
  return function show(reading) {
    for (const showSeries of shows) showSeries(reading);
  };
}

function inTime<T>(work: Promise<T>, deadlineMs: number): Promise<T> {
  return withDeadline(work, deadlineMs, () => new Error(`no answer within ${deadlineMs} ms`));
}

/** Reads it all, one query after the other. Writes nothing. */
async function readShop(database: Knex): Promise<ShopReading> {
  return {
    connections: await readServerConnections(database),
    connectionsMax: await readConnectionsMax(database),
    sessions: await readSessions(database),
    unsettledPayments: await readUnsettledPayments(database),
  };
}

/** Makes room for the next changes, and reads it all; in the transaction of a shared reading. */
export async function foldAndReadShop(transaction: Knex.Transaction): Promise<ShopReading> {
  await foldSessionChanges(transaction);
  return readShop(transaction);
}

/** https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-ACTIVITY-VIEW */
const STATES: Record<string, ServerState> = {
  active: 'active',
  idle: 'idle',
  'idle in transaction': 'idle_in_transaction',
  'idle in transaction (aborted)': 'idle_in_transaction_aborted',
};

/** Counts the connections to this database, this reader's own included. */
async function readServerConnections(database: Knex): Promise<ShopReading['connections']> {
  const rows: { state: string | null; connections: number }[] = await database('pg_stat_activity')
    .select('state')
    .count({ connections: '*' })
    .where('datname', database.raw('current_database()'))
    .where('backend_type', 'client backend')
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
