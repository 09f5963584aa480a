import type { Knex } from 'knex';

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

export interface Sessions {
  /** Seen in the last 5 minutes. */
  active: number;
  /** With an open cart that has an item, seen in the last 30 minutes. */
  withCart: number;
}

export async function readSessions(database: Knex): Promise<Sessions> {
  const filledCart = database('carts')
    .join('cart_items', 'cart_items.cart_id', 'carts.id')
    .where('carts.session_id', database.ref('sessions.id'))
    .where('carts.status', 'open');
  return database
    .select({
      active: seenWithin(database, '5 minutes').count('*'),
      withCart: seenWithin(database, '30 minutes').whereExists(filledCart).count('*'),
    })
    .first();
}

function seenWithin(database: Knex, interval: string): Knex.QueryBuilder {
  return database('sessions').where('last_seen_at', '>', database.raw('now() - ?::interval', interval));
}
