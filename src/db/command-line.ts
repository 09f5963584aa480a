import type { Socket } from 'node:net';
import { resolve } from 'node:path';
import type { Knex } from 'knex';
import pg from 'pg';
import { type DatabaseConnection, readConfig } from '../config.ts';
import { SCHEMA_DATABASE } from '../deadlines.ts';
import { createLog } from '../log.ts';
import { projectRoot } from '../paths.ts';
import { clientConfig } from './connect.ts';
import { postgresDialect } from './dialect.ts';
import { findRunningPostgres, startEmbeddedPostgres } from './embedded/index.ts';
import { mayPass } from './failures.ts';
import { refusal } from './refusals.ts';
import { migrationsFor, SCHEMA_LOCK, seedSource } from './schema.ts';

const APPLICATION_NAME = 'fake-shop knex';

/**
 * Configuration of knex's command line: it works on the database that the shop would use. The embedded one is started
 * for the command if no shop runs, and stops by itself when the command's process ends.
 *
 * @param environment usually `process.env`
 * @throws {ConfigError} when it has mistakes
 */
export async function commandLineConfig(environment: NodeJS.ProcessEnv): Promise<Knex.Config> {
  const connection = await findDatabase(environment);
  const applied = await keepShopsFromMigrating(connection);
  return {
    client: postgresDialect({ deadlines: SCHEMA_DATABASE }),
    connection: clientConfig(connection, APPLICATION_NAME, SCHEMA_DATABASE),
    acquireConnectionTimeout: SCHEMA_DATABASE.acquire,
    pool: { min: 0, max: 1 },
    migrations: { migrationSource: migrationsFor(applied) },
    seeds: { seedSource },
  };
}

async function findDatabase(environment: NodeJS.ProcessEnv): Promise<DatabaseConnection> {
  const { DATABASE_URL, DB_HOST, DB_PORT, DB_USER, DB_PASSWORD, DB_NAME, DATA_DIR } = environment;
  const config = readConfig({
    ...{ DATABASE_URL, DB_HOST, DB_PORT, DB_USER, DB_PASSWORD, DB_NAME },
    // knex's command line changes into the folder of its knexfile, which may be dist/.
    DATA_DIR: resolve(projectRoot, DATA_DIR || 'data'),
  });
  if (config.database.connection) return config.database.connection;
  const running = await findRunningPostgres(config.dataDir);
  if (running) return running;
  const log = createLog({ logLevel: 'warn' }, 'knex');
  return (await startEmbeddedPostgres({ dataDir: config.dataDir, log })).connection;
}

/**
 * Shares the schema's lock until this process ends, in a transaction that stays open: a pooler would give the lock of a
 * session to others.
 *
 * @returns the migrations that the database has
 */
async function keepShopsFromMigrating(connection: DatabaseConnection): Promise<string[]> {
  const client = new pg.Client(clientConfig(connection, APPLICATION_NAME, SCHEMA_DATABASE));
  try {
    await client.connect();
  } catch (error) {
    throw mayPass(error) ? error : new Error(refusal(error, connection), { cause: error });
  }
  client.on('error', () => {});
  // Does not keep the process alive.
  (client.connection.stream as Socket).unref();
  await client.query(
    `begin; set local statement_timeout = ${SCHEMA_DATABASE.statement}; set local idle_in_transaction_session_timeout = 0`,
  );
  await client.query('select pg_advisory_xact_lock_shared($1)', [SCHEMA_LOCK]);
  const { rows } = await client.query<{ known: boolean }>(`select to_regclass('knex_migrations') is not null as known`);
  if (!rows[0]?.known) return [];
  const applied = await client.query<{ name: string }>('select name from knex_migrations order by id');
  return applied.rows.map(({ name }) => name);
}
