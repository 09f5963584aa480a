import type { Knex } from 'knex';
import { named } from '../db/named.ts';

/** Label `state` of `shop_db_server_connections`; `other` is what PostgreSQL has no common word for, or doesn't tell this user. */
export const SERVER_STATES = ['active', 'idle', 'idle_in_transaction', 'idle_in_transaction_aborted', 'other'] as const;
export type ServerState = (typeof SERVER_STATES)[number];
export type ServerConnections = Record<ServerState, number>;

/** https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-ACTIVITY-VIEW */
const STATES: Record<string, ServerState> = {
  active: 'active',
  idle: 'idle',
  'idle in transaction': 'idle_in_transaction',
  'idle in transaction (aborted)': 'idle_in_transaction_aborted',
};

/** Counts the connections to this database, this reader's own included. */
export async function readServerConnections(database: Knex): Promise<ServerConnections> {
  const rows: { state: string | null; connections: number }[] = await database('pg_stat_activity')
    .select('state')
    .count({ connections: '*' })
    .where('datname', database.raw('current_database()'))
    .where('backend_type', 'client backend')
    .groupBy('state');
  const counts: ServerConnections = {
    active: 0,
    idle: 0,
    idle_in_transaction: 0,
    idle_in_transaction_aborted: 0,
    other: 0,
  };
  for (const { state, connections } of rows) counts[STATES[state ?? ''] ?? 'other'] += connections;
  return counts;
}

async function readConnectionsMax(database: Knex): Promise<number> {
  const { rows } = await named(
    database.raw<{ rows: [{ max: number }] }>(`select current_setting('max_connections')::int as max`),
    'select',
    'none',
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
 * Reads how many sessions are active from the counts that triggers keep (migration 0004), to the second. Takes as long as
 * 30 minutes have seconds, however many sessions there are.
 */
export async function readSessions(database: Knex): Promise<Sessions> {
  const { rows } = await named(
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

/** Moves what has changed into the counts, and removes what no gauge looks back on. One caller at a time. */
export async function foldSessionChanges(database: Knex): Promise<void> {
  await named(
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

/** Everything that the gauges read from the database, as it is kept in `gauge_readings`. */
export interface ShopReading {
  readonly connections: ServerConnections;
  /** PostgreSQL's `max_connections`. */
  readonly connectionsMax: number;
  readonly sessions: Sessions;
  readonly unsettledPayments: number;
}

/** Another shape of {@link ShopReading} is another reading: instances of two versions do not take each other's. */
export const READING = 'shop gauges, version 2';

/** Reads it all, one query after the other. Writes nothing. */
export async function readShop(database: Knex): Promise<ShopReading> {
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
