import type { Knex } from 'knex';
import { builderLabels, OTHER_OPERATION } from './builder-labels.ts';
import type { WorkerMetrics } from './metrics.ts';
import { NO_BUILDER, OpenQueries } from './open-queries.ts';
import { NO_TABLE } from './operations.ts';
import { type PoolConnection, poolOf, watchPool } from './pool.ts';

/** What Knex's `query`, `query-response` and `query-error` events carry. */
interface SentQuery {
  readonly __knexUid: string;
  /** A builder's and a raw query's; a statement without a builder has none. */
  readonly __knexQueryUid?: string;
  readonly method?: string;
  readonly sql: string;
}

/** A transaction's statements, whole, that Knex sends itself with no builder (knex/lib/execution/transaction.js). */
const TRANSACTION_STATEMENTS: Record<string, string> = {
  'BEGIN;': 'begin',
  'COMMIT;': 'commit',
  ROLLBACK: 'rollback',
};

/**
 * Measures a database from what Knex itself tells: each operation's duration, failed ones too, into
 * `shop_db_operation_duration_seconds`; the pool's gauges; and for the request that a query works for, its seconds
 * in the database and waiting for a connection.
 *
 * @returns removes all listeners
 */
export function instrumentKnex(
  database: Knex,
  metrics: Pick<WorkerMetrics, 'dbOperationDuration' | 'dbConnections'>,
): () => void {
  const open = new OpenQueries(metrics.dbOperationDuration);
  const pool = poolOf(database);
  const known = new Set<PoolConnection>();
  let starting: object | undefined;

  function builderStarts(builder: object): void {
    // Knex compiles and sends within the same turn, so the next query with a builder is this one's.
    starting = builder;
  }

  function querySent(query: SentQuery): void {
    const { __knexUid, __knexQueryUid = NO_BUILDER, method, sql } = query;
    const labels =
      starting && __knexQueryUid !== NO_BUILDER
        ? builderLabels(starting, method)
        : { operation: TRANSACTION_STATEMENTS[sql] ?? OTHER_OPERATION, table: NO_TABLE };
    starting = undefined;
    open.sent(__knexUid, __knexQueryUid, labels);
  }

  function queryAnswered(_answer: unknown, { __knexUid, __knexQueryUid = NO_BUILDER }: SentQuery): void {
    open.answered(__knexUid, __knexQueryUid);
  }

  /** Knex tells no answer of a transaction's statements, but pg tells when a connection has nothing left to do. */
  function connectionDrained(this: PoolConnection): void {
    open.answered(this.__knexUid, NO_BUILDER);
  }

  function connectionAcquired(_eventId: number, connection: PoolConnection): void {
    if (known.has(connection)) return;
    known.add(connection);
    connection.on('drain', connectionDrained);
  }

  function connectionReleased(connection: PoolConnection): void {
    open.released(connection.__knexUid);
  }

  function connectionDestroyed(_eventId: number, connection: PoolConnection): void {
    known.delete(connection);
    connection.off('drain', connectionDrained);
  }

  database.on('start', builderStarts);
  database.on('query', querySent);
  database.on('query-response', queryAnswered);
  database.on('query-error', queryAnswered);
  pool.on('acquireSuccess', connectionAcquired);
  pool.on('release', connectionReleased);
  pool.on('destroyRequest', connectionDestroyed);
  const stopWatching = watchPool(pool, metrics.dbConnections);

  return function stopInstrumenting() {
    stopWatching();
    database.off('start', builderStarts);
    database.off('query', querySent);
    database.off('query-response', queryAnswered);
    database.off('query-error', queryAnswered);
    pool.removeListener('acquireSuccess', connectionAcquired);
    pool.removeListener('release', connectionReleased);
    pool.removeListener('destroyRequest', connectionDestroyed);
    for (const connection of known) connection.off('drain', connectionDrained);
  };
}
