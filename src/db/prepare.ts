import { setTimeout as delay } from 'node:timers/promises';
import type { Knex } from 'knex';
import type pg from 'pg';
import type { DatabaseConnection } from '../config.ts';
import type { Logger } from '../log.ts';
import { connect } from './connect.ts';
import { migrationSource } from './migrations/index.ts';
import { SCHEMA_DEADLINES, SCHEMA_LOCK } from './schema-lock.ts';
import { seedSource } from './seeds.ts';
import { waitForServer } from './wait-for-server.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;

const LOCK_POLL_MS = 100;
const APPLICATION_NAME = 'fake-shop schema';

export interface PrepareOptions {
  readonly log: Logger;
  /** For the server to answer, and then for the other instances to finish. Default: one minute each. */
  readonly patienceMs?: number;
}

/**
 * Brings a database to the program's schema and puts the catalogue in. Safe to call at every start and by several
 * instances at once: one works, the others wait for it. What a crashed instance left half-way is taken up.
 *
 * @throws when the server can't be reached, refuses, or another instance holds the schema for longer than `patienceMs`
 */
export async function prepareDatabase(connection: DatabaseConnection, options: PrepareOptions): Promise<void> {
  const { log, patienceMs = MINUTE } = options;
  const holder = await waitForServer(connection, {
    applicationName: APPLICATION_NAME,
    deadlines: SCHEMA_DEADLINES,
    log,
    patienceMs,
  });
  // The lock goes with its connection; the work then ends in PostgreSQL's own errors, as two migrations can't both commit.
  holder.on('error', (error) => log.warn({ err: error }, 'the connection that locks the schema broke'));
  try {
    await lockSchema(holder, patienceMs);
    const database = connect(connection, {
      poolMax: 1,
      applicationName: APPLICATION_NAME,
      log,
      deadlines: SCHEMA_DEADLINES,
    });
    try {
      await freeStaleLock(database, log);
      const [, applied]: [number, string[]] = await database.migrate.latest({ migrationSource });
      if (applied.length > 0) log.info({ migrations: applied }, 'migrated the database');
      await database.seed.run({ seedSource });
    } finally {
      await database.destroy();
    }
  } finally {
    await holder.end();
  }
}

/**
 * Waits for the lock by asking, not in PostgreSQL's queue: knexfile.ts takes it shared, and a queue would make its second
 * connection wait behind us while we wait for its first.
 */
async function lockSchema(holder: pg.Client, patienceMs: number): Promise<void> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    const { rows } = await holder.query<{ locked: boolean }>('select pg_try_advisory_lock($1) as locked', [
      SCHEMA_LOCK,
    ]);
    if (rows[0]?.locked) return;
    if (performance.now() > deadline) {
      throw new Error(
        `Another process has been changing the database's schema for ${patienceMs / SECOND} s: see who in pg_stat_activity`,
      );
    }
    await delay(LOCK_POLL_MS);
  }
}

/** Knex marks a table when it migrates and gives up if the mark is there. Whoever holds our lock knows that the mark is a dead one's. */
async function freeStaleLock(database: Knex, log: Logger): Promise<void> {
  if (!(await database.schema.hasTable('knex_migrations_lock'))) return;
  const stale = await database('knex_migrations_lock').where('is_locked', '>', 0).first();
  if (!stale) return;
  log.warn('a migration was cut off earlier: its lock is freed and it runs again');
  await database.migrate.forceFreeMigrationsLock({ migrationSource });
}
