import { resolve } from 'node:path';
import type { Knex } from 'knex';
import type pg from 'pg';
import { type DatabaseConnection, readConfig } from '../config.ts';
import { createLog } from '../log.ts';
import { projectRoot } from '../paths.ts';
import { clientConfig } from './connect.ts';
import { startEmbeddedPostgres } from './embedded/index.ts';
import { findRunningPostgres } from './embedded/running.ts';
import { migrationSource } from './migrations/index.ts';
import { SCHEMA_DEADLINES, SCHEMA_LOCK } from './schema-lock.ts';
import { seedSource } from './seeds.ts';

/**
 * What knex's command line works on: the database that the shop would use. When that is the embedded one and no shop is
 * running, it is started for the command and stops by itself when the command's process ends.
 *
 * @param environment usually `process.env`
 * @throws {ConfigError} when it has mistakes
 */
export async function commandLineConfig(environment: NodeJS.ProcessEnv): Promise<Knex.Config> {
  return {
    client: 'pg',
    connection: clientConfig(await findDatabase(environment), 'knex', SCHEMA_DEADLINES),
    acquireConnectionTimeout: SCHEMA_DEADLINES.acquire,
    // One connection: a second would wait for the lock behind a starting shop, which waits for the first.
    pool: { min: 0, max: 1, afterCreate: keepShopsFromMigrating },
    migrations: { migrationSource },
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

function keepShopsFromMigrating(client: pg.Client, done: (error?: Error) => void): void {
  client.query('select pg_advisory_lock_shared($1)', [SCHEMA_LOCK]).then(() => done(), done);
}
