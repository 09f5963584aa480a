import PostgresDialect, { type SentQuery } from 'knex/lib/dialects/postgres/index.js';
import pg from 'pg';
import type { DatabaseDeadlines } from '../deadlines.ts';
import { isAnswerTimeout, isCancelled, isStalePlan, noteConnectionFailure, noteUnanswered } from './failures.ts';

/** Knex begins a transaction with it (knex/lib/execution/transaction.js). */
const BEGIN = 'BEGIN;';
/** Statements that a connection keeps prepared at most. The shop has fewer; lists of values make ever new ones. */
const MAX_PREPARED = 200;

/** tarn's, and not in its types: whether a connection that can't be made fails the requests that wait for one. */
interface Pool {
  propagateCreateError: boolean;
}

/** A connection of Knex's pool, with fields that pg's types lack. */
export type PoolClient = pg.Client & {
  readonly connection: pg.Connection;
  /** Id of the server's process, or of a pooler's own. */
  readonly processID: number;
  /** Knex's name for it. */
  readonly __knexUid: string;
  /** Knex's mark of a connection on which a transaction is open (knex/lib/execution/transaction.js). */
  readonly __knexTxId?: string;
  /** Knex's mark of a connection that has broken or ended (knex/lib/dialects/postgres/index.js). */
  readonly __knex__disposed?: unknown;
};

export interface DialectOptions {
  readonly deadlines: Pick<DatabaseDeadlines, 'statement' | 'idleInTransaction'>;
  /** Whether the pool has a connection that can be waited for. Default: never. */
  readonly hasConnection?: () => boolean;
}

/**
 * Knex's PostgreSQL dialect with deadlines that hold on a direct connection and behind a pooler alike. A pooler refuses
 * deadlines at the connection's start, and its next transaction may be on another connection of the server. So
 *
 * - a transaction sets its own, in the message that begins it: the server keeps them, also when this process hangs;
 * - any statement that is late is cancelled from here, and ends on the server too, with SQLSTATE 57014.
 *
 * On a direct connection statements with values are prepared once, which saves half of PostgreSQL's work for a page.
 */
export function postgresDialect({ deadlines, hasConnection = () => false }: DialectOptions): typeof PostgresDialect {
  const statementMs = Math.round(deadlines.statement);
  const idleMs = Math.round(deadlines.idleInTransaction);
  const begin = `${BEGIN} set local statement_timeout = ${statementMs}; set local idle_in_transaction_session_timeout = ${idleMs}`;

  /**
   * Connections that lead to PostgreSQL itself. Behind a pooler, another connection would have the prepared statement.
   */
  const direct = new WeakSet<pg.Client>();
  /** Names of prepared statements by their SQL. */
  let names = new Map<string, string>();
  let named = 0;

  function prepared(connection: pg.Client, query: SentQuery): SentQuery {
    if (!direct.has(connection) || !query.bindings?.length) return query;
    let name = names.get(query.sql);
    if (name === undefined) {
      if (names.size === MAX_PREPARED) return query;
      named += 1;
      name = `shop_${named}`;
      names.set(query.sql, name);
    }
    return { ...query, options: { ...query.options, name } };
  }

  return class extends PostgresDialect {
    /** When the server grants no further connection, a request waits for a connection that the pool has. */
    override async acquireRawConnection(): Promise<PoolClient> {
      try {
        const connection = (await super.acquireRawConnection()) as PoolClient;
        if (await leadsToPostgres(connection)) direct.add(connection);
        return connection;
      } catch (error) {
        (this.pool as unknown as Pool).propagateCreateError = !hasConnection();
        throw error;
      }
    }

    /** From the pool: an error here, also one of making the connection, is never the query's fault. */
    override async acquireConnection(): Promise<pg.Client> {
      try {
        return await super.acquireConnection();
      } catch (error) {
        noteConnectionFailure(error);
        throw error;
      }
    }

    override async _query(connection: PoolClient, query: SentQuery): Promise<SentQuery> {
      let cancelled: Promise<void> | undefined;
      const timer = setTimeout(() => {
        cancelled = cancelStatement(connection);
      }, statementMs);
      try {
        const answered = await this.send(connection, query.sql === BEGIN ? { ...query, sql: begin } : query);
        await cancelled;
        return answered;
      } catch (error) {
        if (isOfConnection(error, connection)) noteUnanswered(error);
        // The connection serves on, and its next statement must not be the one that is cancelled.
        if (error instanceof pg.DatabaseError) await cancelled;
        if (cancelled && isCancelled(error)) error.message = `cancelled, as it took longer than ${statementMs} ms`;
        throw error;
      } finally {
        clearTimeout(timer);
      }
    }

    async send(connection: PoolClient, query: SentQuery): Promise<SentQuery> {
      try {
        return await super._query(connection, prepared(connection, query));
      } catch (error) {
        if (!isStalePlan(error)) throw error;
        // A migration has changed the columns. All statements are prepared anew, under names that no connection has.
        names = new Map();
        if (connection.__knexTxId !== undefined) throw error;
        return await super._query(connection, prepared(connection, query));
      }
    }
  };
}

/** A pooler gives its clients process ids of its own (pgbouncer's `BackendKeyData`). */
async function leadsToPostgres(connection: PoolClient): Promise<boolean> {
  try {
    const { rows } = await connection.query<{ pid: number }>('select pg_backend_pid() as pid');
    return rows[0]?.pid === connection.processID;
  } catch (error) {
    connection.connection.stream.destroy();
    throw error;
  }
}

/**
 * Whether a statement failed with its connection, and not by itself, as one does whose values can't be sent or read.
 */
function isOfConnection(error: unknown, { __knex__disposed }: PoolClient): error is Error {
  if (!(error instanceof Error) || error instanceof pg.DatabaseError) return false;
  return __knex__disposed !== undefined || isAnswerTimeout(error);
}

/** Parts of pg's connection and client that pg's types lack (pg/lib/connection.js, pg/lib/client.js). */
interface Wire extends pg.Connection {
  connect(portOrSocket: number | string, host?: string): void;
  requestSsl(): void;
  cancel(processId: number, secretKey: number): void;
}
interface Keys {
  readonly processID: number;
  readonly secretKey: number;
  readonly sslNegotiation?: string;
}

/** A server that hangs takes no request either. */
const CANCEL_DEADLINE_MS = 1_000;

/**
 * Asks the server to end the statement that a connection waits for. The request goes to the same address over a
 * connection of its own, so that it passes a pooler too (PostgreSQL's manual, "Canceling Requests in Progress").
 *
 * @returns when the server has taken the request, or can't be reached, or after a second: a statement that is sent
 *   later is not hit
 */
function cancelStatement(client: pg.Client): Promise<void> {
  const { host, port, ssl } = client;
  const { processID, secretKey, sslNegotiation } = client as pg.Client & Keys;
  // pg's types have `ssl` of a client as a flag; it holds the options of the client's own connection.
  const wire = new pg.Connection({ ssl, sslNegotiation } as ConstructorParameters<typeof pg.Connection>[0]) as Wire;
  return new Promise((resolve) => {
    const timer = setTimeout(() => wire.stream.destroy(), CANCEL_DEADLINE_MS);
    wire.on('error', () => wire.stream.destroy());
    wire.on('connect', () => {
      if (!ssl) wire.cancel(processID, secretKey);
      else if (sslNegotiation !== 'direct') wire.requestSsl();
    });
    wire.on('sslconnect', () => wire.cancel(processID, secretKey));
    wire.on('end', () => {
      clearTimeout(timer);
      resolve();
    });
    if (host.startsWith('/')) wire.connect(`${host}/.s.PGSQL.${port}`);
    else wire.connect(port, host);
  });
}
