import PostgresDialect from 'knex/lib/dialects/postgres/index.js';
import pg from 'pg';
import { cancelStatement } from './cancel.ts';
import type { Deadlines } from './connect.ts';

/** With which Knex begins a transaction (knex/lib/execution/transaction.js). */
const BEGIN = 'BEGIN;';
const QUERY_CANCELED = '57014';

/** tarn's, and not in its types: whether a connection that can't be made fails those who wait for one. */
interface Pool {
  propagateCreateError: boolean;
}

export interface DialectOptions {
  readonly deadlines: Pick<Deadlines, 'statement' | 'idleInTransaction'>;
  /** Whether the pool has a connection that can be waited for. Default: never. */
  readonly hasConnection?: () => boolean;
}

/**
 * Knex's PostgreSQL dialect with deadlines that hold on a direct connection and behind a pooler alike. A pooler refuses
 * deadlines at the connection's start, and its next transaction may be on another connection of the server. So
 *
 * - a transaction sets its own, in the message that begins it: the server keeps them, also when this process hangs;
 * - any statement that is late is cancelled from here, and ends on the server too, with SQLSTATE 57014.
 */
export function postgresDialect({ deadlines, hasConnection = () => false }: DialectOptions): typeof PostgresDialect {
  const statementMs = Math.round(deadlines.statement);
  const idleMs = Math.round(deadlines.idleInTransaction);
  const begin = `${BEGIN} set local statement_timeout = ${statementMs}; set local idle_in_transaction_session_timeout = ${idleMs}`;

  return class extends PostgresDialect {
    /** When the server gives no further connection, a request waits for one of those that the pool has. */
    override async acquireRawConnection(): Promise<pg.Client> {
      try {
        return await super.acquireRawConnection();
      } catch (error) {
        (this.pool as unknown as Pool).propagateCreateError = !hasConnection();
        throw error;
      }
    }

    override async _query<Sent extends { readonly sql: string }>(connection: pg.Client, query: Sent): Promise<Sent> {
      let cancelled: Promise<void> | undefined;
      const timer = setTimeout(() => {
        cancelled = cancelStatement(connection);
      }, statementMs);
      try {
        const answered = await super._query(connection, query.sql === BEGIN ? { ...query, sql: begin } : query);
        await cancelled;
        return answered;
      } catch (error) {
        // The connection serves on, and its next statement must not be the one that is cancelled.
        if (error instanceof pg.DatabaseError) await cancelled;
        if (cancelled && isCancelled(error)) error.message = `cancelled, as it took longer than ${statementMs} ms`;
        throw error;
      } finally {
        clearTimeout(timer);
      }
    }
  };
}

function isCancelled(error: unknown): error is pg.DatabaseError {
  return error instanceof pg.DatabaseError && error.code === QUERY_CANCELED;
}
