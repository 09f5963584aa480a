import type { Knex } from 'knex';
import { NO_TABLE, type QueryLabels, queryLabels } from '../db/query-labels.ts';
import { listenTo, type PoolConnection, poolOf, watchPool } from './pool.ts';
import { type Clock, currentRequest } from './request-clock.ts';
import type { WorkerMetrics } from './worker-metrics.ts';

/** Argument of Knex's `query`, `query-response` and `query-error` events. */
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
 * Measures a database from Knex's own events: the duration of each operation, failed ones too, into
 * `shop_db_operation_duration_seconds`; the pool's gauges; and for the request that sent a query, the seconds that it
 * spent in the database and waiting for a connection.
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

  /**
   * Knex has no event for the answer to a transaction's own statements, but pg has one for a connection without work.
   */
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

  const stops = [
    listenTo(database, {
      start: builderStarts,
      query: querySent,
      'query-response': queryAnswered,
      'query-error': queryAnswered,
    }),
    listenTo(pool, {
      acquireSuccess: connectionAcquired,
      release: connectionReleased,
      destroyRequest: connectionDestroyed,
    }),
    watchPool(pool, metrics.dbConnections),
  ];

  return function stopInstrumenting() {
    for (const stop of stops) stop();
    for (const connection of known) connection.off('drain', connectionDrained);
  };
}

interface OpenQuery extends QueryLabels {
  readonly startedMs: number;
  readonly request: Clock | undefined;
}

/** Key of a statement that Knex sends without a builder; a connection runs one of them at a time. */
const NO_BUILDER = '';

/** The queries that have been sent and not yet answered, by connection. */
class OpenQueries {
  readonly #duration: WorkerMetrics['dbOperationDuration'];
  readonly #byConnection = new Map<string, Map<string, OpenQuery>>();

  /** @param duration observes each query once, in seconds */
  constructor(duration: WorkerMetrics['dbOperationDuration']) {
    this.#duration = duration;
  }

  /** A query is sent, for the current request if there is one. */
  sent(connection: string, key: string, { operation, table }: QueryLabels): void {
    const request = currentRequest();
    const startedMs = performance.now();
    request?.begin('db', startedMs);
    let queries = this.#byConnection.get(connection);
    if (!queries) {
      queries = new Map();
      this.#byConnection.set(connection, queries);
    }
    queries.set(key, { operation, table, startedMs, request });
  }

  /** A query has its answer, or has failed. */
  answered(connection: string, key: string): void {
    const queries = this.#byConnection.get(connection);
    const query = queries?.get(key);
    if (!query) return;
    queries?.delete(key);
    this.#observe(query);
  }

  /** A connection goes back to the pool: queries that are still open on it have been abandoned. */
  released(connection: string): void {
    const queries = this.#byConnection.get(connection);
    if (!queries) return;
    this.#byConnection.delete(connection);
    for (const query of queries.values()) this.#observe(query);
  }

  #observe({ operation, table, startedMs, request }: OpenQuery): void {
    const now = performance.now();
    request?.end('db', now);
    this.#duration.observe({ operation, table }, (now - startedMs) / 1000);
  }
}

/** Knex's names for the queries of its builders (knex/lib/query/querybuilder.js, `_method`). */
const OPERATIONS: Record<string, string> = {
  select: 'select',
  first: 'select',
  pluck: 'select',
  columnInfo: 'select',
  insert: 'insert',
  update: 'update',
  del: 'delete',
  truncate: 'truncate',
  raw: 'raw',
};
/** A select that locks rows: its time is mostly a wait for the transaction that holds them. */
const LOCK_OPERATION = 'lock';
/** Schema changes, and methods of Knex that the shop does not use. */
const OTHER_OPERATION = 'other';

/**
 * Labels of a query, from its builder: joins and sub-queries count for the main table; a raw query has the labels of
 * `labelQuery`, else it is `raw` of no table. SQL text is never parsed.
 *
 * @param builder Knex's query builder, raw query or schema builder
 * @param method from Knex's `query` event
 */
function builderLabels(builder: object, method: string | undefined): QueryLabels {
  return (
    queryLabels(builder) ?? {
      operation: isLock(builder) ? LOCK_OPERATION : (OPERATIONS[method ?? ''] ?? OTHER_OPERATION),
      table: tableName(builder),
    }
  );
}

/** Whether it ends in `for update` or the like (knex/lib/query/querybuilder.js, `forUpdate`). */
function isLock(builder: object): boolean {
  const { _single } = builder as { _single?: { lock?: string } };
  return _single?.lock !== undefined;
}

/** Knex takes these for a table: a name, `{ alias: name }`, a reference, a sub-query. */
function tableName(source: unknown): string {
  if (typeof source === 'string') return bareName(source);
  if (typeof source !== 'object' || source === null) return NO_TABLE;
  const { _single, ref, isRawInstance } = source as {
    _single?: { table?: unknown };
    ref?: unknown;
    isRawInstance?: boolean;
  };
  if (_single) return tableName(_single.table);
  if (typeof ref === 'string') return bareName(ref);
  if (isRawInstance) return queryLabels(source)?.table ?? NO_TABLE;
  return Object.getPrototypeOf(source) === Object.prototype ? tableName(Object.values(source)[0]) : NO_TABLE;
}

/** `public.products as p`, in Knex's own notation, is `products`. */
function bareName(name: string): string {
  const aliasAt = name.toLowerCase().indexOf(' as ');
  const qualified = (aliasAt === -1 ? name : name.slice(0, aliasAt)).trim();
  return qualified.slice(qualified.lastIndexOf('.') + 1);
}
