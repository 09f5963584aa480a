import knex, { type Knex } from 'knex';
import pg from 'pg';
import type { DatabaseConnection } from '../config.ts';
import type { Logger } from '../log.ts';
import { ANSWER_TIMEOUT, type PoolClient, postgresDialect } from './dialect.ts';

const SECOND = 1000;

/** How long each wait for the database may take, in milliseconds. */
export interface Deadlines {
  /** For a free connection of the pool. */
  readonly acquire: number;
  /** For the server to take a new connection. */
  readonly connect: number;
  /** For one statement: the server ends it, asked from here or, in a transaction, by itself. */
  readonly statement: number;
  /** For one statement's answer, kept here: a server that hangs keeps no deadline. */
  readonly answer: number;
  /** For the next statement of an open transaction, kept by the server. */
  readonly idleInTransaction: number;
}

/** A page has to be answered within 2 s, with an error if need be, and has to be there again 2 s after the database. */
const PAGE_DEADLINES: Deadlines = {
  acquire: 1.5 * SECOND,
  connect: 1.5 * SECOND,
  statement: 1.25 * SECOND,
  answer: 1.5 * SECOND,
  idleInTransaction: 5 * SECOND,
};

export interface ConnectOptions {
  /** Connections held at most; none are held when nobody needs one. */
  readonly poolMax: number;
  /** Shown in PostgreSQL's `pg_stat_activity`. */
  readonly applicationName: string;
  readonly log: Logger;
  /** Default: what a page can wait. */
  readonly deadlines?: Deadlines;
}

/**
 * A Knex on a pool of PostgreSQL connections. Opens none until the first query.
 *
 * Every wait has a deadline and ends in an error. A connection that breaks is logged and left out of the pool; it never
 * ends the process. `bigint` comes as a number, see {@link safeInteger}. Error messages hold no values of a query.
 */
export function connect(connection: DatabaseConnection, options: ConnectOptions): Knex {
  const { deadlines = PAGE_DEADLINES, log } = options;
  /** Connections that can be used, by Knex's name for them, and when each was last heard of. */
  const open = new Map<string, { readonly client: PoolClient; heardMs: number }>();
  const database = knex({
    client: postgresDialect({ deadlines, hasConnection: () => open.size > 0 }),
    connection: clientConfig(connection, options.applicationName, deadlines),
    pool: {
      min: 0,
      max: options.poolMax,
      createTimeoutMillis: deadlines.connect + deadlines.answer,
      destroyTimeoutMillis: 2 * SECOND,
      afterCreate: watchConnection,
      validate: isUsable,
    },
    acquireConnectionTimeout: deadlines.acquire,
    // Knex would write a failed query's values, a customer's address among them, into the error's message.
    compileSqlOnError: false,
    log: {
      debug: (message: unknown) => log.debug(text(message)),
      // Connections that break or are refused, which is logged below or thrown to those who wait.
      warn: (message: unknown) => log.debug(text(message)),
      error: (message: unknown) => log.error(text(message)),
      deprecate: (method: string, alternative: string) => log.warn(`knex: ${method} is deprecated, use ${alternative}`),
    },
  });

  function watchConnection(client: PoolClient, done: (error?: Error) => void): void {
    const connection = { client, heardMs: performance.now() };
    open.set(client.__knexUid, connection);
    client.on('drain', () => {
      connection.heardMs = performance.now();
    });
    client.once('end', () => open.delete(client.__knexUid));
    client.on('error', (error: Error) => {
      // pg may tell twice: what the server said last, and that the connection has ended.
      if (open.delete(client.__knexUid)) log.warn({ err: error }, 'a database connection broke');
    });
    done();
  }

  function isUsable({ __knexUid, connection }: PoolClient): boolean {
    if (open.has(__knexUid)) return true;
    // A goodbye would wait for an answer, as long as the system's TCP does.
    connection.stream.destroy();
    return false;
  }

  database.on('query-error', (error: Error & { code?: string }, { __knexUid }: { __knexUid: string }) => {
    // After a failover this connection, and those that are older, may lead to a server that takes no more writes.
    if (error.code === READ_ONLY && open.has(__knexUid)) {
      for (const uid of open.keys()) {
        open.delete(uid);
        if (uid === __knexUid) break;
      }
    }
    if (!error.message.endsWith(ANSWER_TIMEOUT)) return;
    // pg goes on waiting for the lost answer, and whoever got this connection next would wait behind it.
    open.get(__knexUid)?.client.connection.stream.destroy();
    // The server ends slow statements itself, so it was the server or the network that failed. Those who have been
    // silent since before may be as dead: when a network forgets its connections, nobody is told.
    const silentSinceMs = performance.now() - deadlines.answer;
    for (const [uid, { heardMs }] of open) if (heardMs <= silentSinceMs) open.delete(uid);
  });

  return database;
}

/** SQLSTATE of a write to a server that is read-only: a hot standby, or `default_transaction_read_only`. */
const READ_ONLY = '25006';

/** pg's own settings, for a pool or for a single `pg.Client`. Nothing here that a pooler would refuse or forget. */
export function clientConfig(
  connection: DatabaseConnection,
  applicationName: string,
  deadlines: Pick<Deadlines, 'connect' | 'answer'>,
) {
  const { url, ...parts } = 'url' in connection ? connection : { ...connection, url: undefined };
  return {
    ...(url === undefined ? parts : { connectionString: url }),
    application_name: applicationName,
    connectionTimeoutMillis: deadlines.connect,
    query_timeout: deadlines.answer,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10 * SECOND,
    types: { getTypeParser: typeParser },
  };
}

const { builtins, getTypeParser } = pg.types;

/** pg leaves `bigint`, and so every `count(*)` and every sum of integers, as text. */
function typeParser(oid: number, format?: string): unknown {
  if (oid === builtins.INT8 && format !== 'binary') return safeInteger;
  return getTypeParser(oid, format === 'binary' ? 'binary' : 'text');
}

/** @throws {RangeError} above 2^53, where a number would silently be another one */
function safeInteger(value: string): number {
  const parsed = Number(value);
  if (!Number.isSafeInteger(parsed)) throw new RangeError(`${value} is too large for a number`);
  return parsed;
}

function text(message: unknown): string {
  return message instanceof Error ? message.message : String(message);
}
