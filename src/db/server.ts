import { setTimeout as delay } from 'node:timers/promises';
import type { Knex } from 'knex';
import pg from 'pg';
import type { DatabaseConnection } from '../config.ts';
import type { DatabaseDeadlines } from '../deadlines.ts';
import type { Logger } from '../log.ts';
import { StartError } from '../start-error.ts';
import { countInstances } from './application-name.ts';
import { clientConfig } from './connect.ts';
import { mayPass, reasonOf } from './failures.ts';
import { labelQuery, NO_TABLE } from './query-labels.ts';
import { refusal, variableOf } from './refusals.ts';

const SECOND = 1000;
const RETRY_MS = 250;
const LOG_INTERVAL_MS = 5 * SECOND;

export interface WaitOptions {
  readonly applicationName: string;
  readonly deadlines: Pick<DatabaseDeadlines, 'connect'>;
  readonly log: Logger;
  readonly patienceMs: number;
}

/** Facts that a server reports about itself. */
export interface ServerFacts {
  readonly database: string;
  readonly role: string;
  readonly encoding: string;
  /** A hot standby, or set to take no writes. */
  readonly readOnly: boolean;
  /** Process id of the server's side of this connection. */
  readonly pid: number;
  readonly maxConnections: number;
  /** Connections that this role does not get, of `maxConnections`. */
  readonly reserved: number;
  /** Connection limits of the role and the database; -1 is no limit. */
  readonly roleLimit: number;
  readonly databaseLimit: number;
  /** `application_name` of all connections to the database but this one. */
  readonly others: readonly string[];
  /** Whether a pooler is in between: then the process id of the connection is not the server's. */
  readonly pooled: boolean;
}

const FACTS = `
  select current_database() as database,
         current_user as role,
         current_setting('server_encoding') as encoding,
         current_setting('transaction_read_only')::boolean as "readOnly",
         pg_backend_pid() as pid,
         current_setting('max_connections')::int as "maxConnections",
         case when rolsuper then 0
              else current_setting('superuser_reserved_connections')::int
                 + coalesce(current_setting('reserved_connections', true), '0')::int
         end as reserved,
         rolconnlimit as "roleLimit",
         (select datconnlimit from pg_database where datname = current_database()) as "databaseLimit",
         array(select application_name from pg_stat_activity
               where datname = current_database() and pid <> pg_backend_pid()) as others
  from pg_roles where rolname = current_user`;

/**
 * Waits for a server that may still be starting, or has yet to become writable.
 *
 * @throws after `patienceMs`, or at once when waiting can't help: a wrong password, a database that does not exist
 */
export async function waitForServer(connection: DatabaseConnection, options: WaitOptions): Promise<ServerFacts> {
  const { log, patienceMs } = options;
  const startedMs = performance.now();
  for (let loggedMs = Number.NEGATIVE_INFINITY; ; ) {
    let reason: string;
    let cause: unknown;
    try {
      const facts = await askServer(connection, options);
      if (!facts.readOnly) return facts;
      reason = 'it is read-only';
    } catch (error) {
      if (!mayPass(error)) throw new StartError(refusal(error, connection), { cause: error });
      reason = reasonOf(error);
      cause = error;
    }
    const nowMs = performance.now();
    if (nowMs - startedMs > patienceMs) {
      throw new StartError(
        `The database that ${variableOf(connection)} names did not answer within ${patienceMs / SECOND} s: ${reason}`,
        { cause },
      );
    }
    if (nowMs - loggedMs >= LOG_INTERVAL_MS) {
      log.info({ reason }, 'waiting for the database');
      loggedMs = nowMs;
    }
    await delay(RETRY_MS);
  }
}

async function askServer(connection: DatabaseConnection, options: WaitOptions): Promise<ServerFacts> {
  const { applicationName, deadlines } = options;
  // A server that takes the connection and does not answer may still be starting: wait briefly, and try again.
  const patience = { connect: deadlines.connect, answer: deadlines.connect };
  const client = new pg.Client(clientConfig(connection, applicationName, patience));
  client.on('error', () => {});
  try {
    await client.connect();
    const { rows } = await client.query<Omit<ServerFacts, 'pooled'>>(FACTS);
    const [facts] = rows;
    if (!facts) throw new Error('The server does not know its own user');
    return { ...facts, pooled: facts.pid !== (client as pg.Client & { processID: number }).processID };
  } finally {
    void client.end().catch(() => {});
  }
}

/**
 * Warns when all instances that run now may together want more connections than the server grants this user. Not behind
 * a pooler, whose number of connections to the server is not known here.
 *
 * @param connections that this instance may hold; the others are assumed to be equal
 */
export function warnOfFewConnections(facts: ServerFacts, connections: number, log: Logger): void {
  if (facts.pooled) return;
  const { maxConnections, reserved, roleLimit, databaseLimit, others } = facts;
  const limits = [maxConnections - reserved, roleLimit, databaseLimit].filter((limit) => limit >= 0);
  const granted = Math.min(...limits);
  const instances = countInstances(others) + 1;
  const wanted = instances * connections;
  if (wanted <= granted) return;
  log.warn(
    { instances, wanted, granted, maxConnections, reserved, roleLimit, databaseLimit },
    `${instances === 1 ? 'this instance' : `the ${instances} instances`} may want ${wanted} database connections, and the server grants ${granted}: lower WORKERS or DB_POOL_MAX, or raise max_connections`,
  );
}

/**
 * Asks whether the server takes writes, without writing: fails as a write would, with SQLSTATE 25006, on a hot standby
 * and under `default_transaction_read_only`. So the pool replaces the connection (connect.ts).
 */
export async function askWritable(database: Knex): Promise<void> {
  await labelQuery(
    database.raw(`
      do $$ begin
        if current_setting('transaction_read_only')::boolean then
          raise read_only_sql_transaction using message = 'the server takes no writes';
        end if;
      end $$`),
    'select',
    NO_TABLE,
  );
}
