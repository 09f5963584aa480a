import { setTimeout as delay } from 'node:timers/promises';
import type { Knex } from 'knex';
import type { DatabaseConnection } from '../config.ts';
import { SCHEMA_DATABASE } from '../deadlines.ts';
import type { Logger } from '../log.ts';
import { withProgress } from '../promises.ts';
import { StartError } from '../start-error.ts';
import { applicationName } from './application-name.ts';
import { connect } from './connect.ts';
import { schemaRefusal } from './refusals.ts';
import { isNewer, migrationsFor, SCHEMA_LOCK, seedSource } from './schema.ts';
import { type ServerFacts, waitForServer, warnOfFewConnections } from './server.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;

const LOCK_POLL_MS = 100;

export interface PrepareOptions {
  readonly log: Logger;
  /** For the server to answer, and then for the other instances to finish. Default: one minute each. */
  readonly patienceMs?: number;
  /** Connections that this instance may hold: a warning says when the server grants fewer. Default: not compared. */
  readonly connections?: number;
}

/**
 * Brings a database to the program's schema and puts the catalogue in. Safe to call at every start and by several
 * instances at once: one works, the others wait for it. A migration that a crash has cut off runs again. A database
 * that a newer release has migrated is left as it is.
 *
 * @throws when the server can't be reached, refuses, or holds something else than the shop's schema in UTF8; the role
 *   lacks a right; or another instance holds the schema for longer than `patienceMs`
 */
export async function prepareDatabase(connection: DatabaseConnection, options: PrepareOptions): Promise<void> {
  const { log, patienceMs = MINUTE, connections } = options;
  const names = { applicationName: applicationName('schema'), deadlines: SCHEMA_DATABASE, log };
  const facts = await waitForServer(connection, { ...names, patienceMs });
  refuseOtherEncodings(facts);
  if (connections !== undefined) warnOfFewConnections(facts, connections, log);
  const database = connect(connection, { ...names, poolMax: 1 });
  try {
    const change = changeAlone(database, patienceMs, (transaction) => bringUpToDate(transaction, log));
    await withProgress(log, "the database's schema", change);
  } catch (error) {
    const refusal = schemaRefusal(error, facts, connection);
    throw refusal === undefined ? error : new StartError(refusal, { cause: error });
  } finally {
    await database.destroy();
  }
}

/** In any other encoding, texts are compared byte by byte, or can't hold every letter that visitors write. */
function refuseOtherEncodings({ database, encoding }: ServerFacts): void {
  if (encoding === 'UTF8') return;
  throw new StartError(
    `The database ${database} has the encoding ${encoding}, and the shop needs UTF8. Make another one, as with: createdb --template=template0 --encoding=UTF8 --locale=C ${database}_utf8`,
  );
}

/**
 * Runs `work` in the transaction that locks the schema: the lock ends with it, however it ends, also behind a pooler.
 *
 * Asks for the lock again and again instead of waiting in PostgreSQL's queue, where knex's command line, which shares
 * it, would wait behind us.
 */
async function changeAlone(
  database: Knex,
  patienceMs: number,
  work: (transaction: Knex.Transaction) => Promise<void>,
): Promise<void> {
  const deadlineMs = performance.now() + patienceMs;
  for (;;) {
    const isDone = await database.transaction(async (transaction) => {
      const { rows } = await transaction.raw('select pg_try_advisory_xact_lock(?) as locked', [SCHEMA_LOCK]);
      if (!rows[0].locked) return false;
      await work(transaction);
      return true;
    });
    if (isDone) return;
    if (performance.now() > deadlineMs) {
      throw new StartError(
        `Another process has been changing the database's schema for ${patienceMs / SECOND} s: pg_stat_activity shows which`,
      );
    }
    await delay(LOCK_POLL_MS);
  }
}

async function bringUpToDate(transaction: Knex.Transaction, log: Logger): Promise<void> {
  await freeStaleLock(transaction, log);
  const applied = (await transaction.schema.hasTable('knex_migrations'))
    ? await transaction('knex_migrations').orderBy('id').pluck<string[]>('name')
    : [];
  const migrationSource = migrationsFor(applied);
  if (isNewer(applied)) {
    log.warn({ applied }, 'the database is newer: a later release has migrated it, and this one serves it as it is');
    return;
  }
  const [, added]: [number, string[]] = await transaction.migrate.latest({ migrationSource });
  if (added.length > 0) log.info({ migrations: added }, 'migrated the database');
  await transaction.seed.run({ seedSource });
}

/**
 * Knex marks a table when it migrates, and gives up if the mark is there. This process holds the lock, so the mark is
 * left from a crash.
 */
async function freeStaleLock(transaction: Knex.Transaction, log: Logger): Promise<void> {
  if (!(await transaction.schema.hasTable('knex_migrations_lock'))) return;
  const stale = await transaction('knex_migrations_lock').where('is_locked', '>', 0).first();
  if (!stale) return;
  log.warn('a migration was cut off earlier: its lock is freed and it runs again');
  await transaction('knex_migrations_lock').update({ is_locked: 0 });
}
