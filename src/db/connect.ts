import knex, { type Knex } from 'knex';
import pg from 'pg';
import type { DatabaseConnection } from '../config.ts';
import { type DatabaseDeadlines, PAGE_DATABASE } from '../deadlines.ts';
import type { Logger } from '../log.ts';
import { type PoolClient, postgresDialect } from './dialect.ts';
import { isAnswerTimeout, isReadOnly } from './failures.ts';

const SECOND = 1000;

export interface ConnectOptions {
  /** Connections held at most; none are held when none is needed. */
  readonly poolMax: number;
  /** Shown in PostgreSQL's `pg_stat_activity`. */
  readonly applicationName: string;
  readonly log: Logger;
  /** Default: those of a page. */
  readonly deadlines?: DatabaseDeadlines;
}

/**
 * A Knex on a pool of PostgreSQL connections. Opens none until the first query.
 *
 * Every wait has a deadline and ends in an error. A connection that breaks is logged and left out of the pool; it never
 * ends the process. `bigint` comes as a number, see {@link safeInteger}. Error messages hold no values of a query.
 */
export function connect(connection: DatabaseConnection, options: ConnectOptions): Knex {
  const { deadlines = PAGE_DATABASE, log } = options;
  /** Usable connections, by Knex's name for them, with the time of the last answer. */
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
      // Connections that break or are refused; they are logged below, or thrown to the requests that wait for one.
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
      // pg may emit two errors: the server's last message, and the end of the connection.
      if (open.delete(client.__knexUid)) log.warn({ err: error }, 'a database connection broke');
    });
    done();
  }

  function isUsable({ __knexUid, connection }: PoolClient): boolean {
    if (open.has(__knexUid)) return true;
    // pg would say goodbye and wait for an answer, as long as the system's TCP does.
    connection.stream.destroy();
    return false;
  }

  database.on('query-error', (error: Error, { __knexUid }: { __knexUid: string }) => {
    // After a failover this connection and all older ones may lead to a server that takes no more writes.
    if (isReadOnly(error) && open.has(__knexUid)) {
      for (const uid of open.keys()) {
        open.delete(uid);
        if (uid === __knexUid) break;
      }
    }
    if (!isAnswerTimeout(error)) return;
    // pg goes on waiting for the lost answer, and the next query on this connection would wait behind it.
    open.get(__knexUid)?.client.connection.stream.destroy();
    // The server ends slow statements itself, so the server or the network has failed. Connections that have been silent
    // for as long may be dead too: a network that forgets a connection tells neither side.
    const silentSinceMs = performance.now() - deadlines.answer;
    for (const [uid, { heardMs }] of open) if (heardMs <= silentSinceMs) open.delete(uid);
  });

  return database;
}

/** pg's own settings, for a pool or for a single `pg.Client`. Nothing here that a pooler would refuse or forget. */
export function clientConfig(
  connection: DatabaseConnection,
  applicationName: string,
  deadlines: Pick<DatabaseDeadlines, 'connect' | 'answer'>,
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
export function safeInteger(value: string | number): number {
  const parsed = Number(value);
  if (!Number.isSafeInteger(parsed)) throw new RangeError(`${value} is too large for a number`);
  return parsed;
}

function text(message: unknown): string {
  return message instanceof Error ? message.message : String(message);
}

/** How long a query waits for a connection of a Knex that {@link connect} has opened, in milliseconds. */
export function acquireMs(database: Knex): number {
  return database.client.config.acquireConnectionTimeout;
}
