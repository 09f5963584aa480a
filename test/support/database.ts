import { after, type TestContext } from 'node:test';
import type { Knex } from 'knex';
import { type ConnectOptions, connect } from '../../src/db/index.ts';
import { silentLog } from './log.ts';
import { log, PATIENT, provideTestServer, type TestServer } from './test-server.ts';
import { whenDone } from './wait.ts';

/** Opens a pool that is closed when the test ends; default: 2 connections, the deadlines of a page, no log. */
export function openPool(
  t: TestContext,
  connection: Parameters<typeof connect>[0],
  options: Partial<ConnectOptions> = {},
): Knex {
  const knex = connect(connection, { poolMax: 2, applicationName: 'test', log: silentLog, ...options });
  whenDone(t, () => knex.destroy());
  return knex;
}

export interface TestDatabase {
  /** For `DATABASE_URL`. */
  readonly url: string;
  readonly connection: { readonly url: string };
  /** Closed when the test ends. */
  readonly knex: Knex;
}

let provided: Promise<TestServer> | undefined;

after(async () => (await provided)?.release());

/**
 * Creates a database on the server that all tests share, migrated and with the catalogue in it. It is dropped when the test
 * ends, even if clients are still connected.
 */
export async function testDatabase(t: TestContext): Promise<TestDatabase> {
  provided ??= provideTestServer();
  const server = await provided;
  const url = await server.create();
  whenDone(t, () => server.drop(url));
  const knex = openPool(t, { url }, { poolMax: 5, log, deadlines: PATIENT });
  return { url, connection: { url }, knex };
}

/** What PostgreSQL says of the sessions of this database: `pg_stat_activity` without those of other tests on its server. */
export function activity(knex: Knex): Knex.QueryBuilder {
  return knex('pg_stat_activity').where({ datname: knex.raw('current_database()') });
}

/**
 * Makes PostgreSQL refuse writes to a table with the error of a full disk.
 *
 * @returns a function that makes room again
 */
export async function fillDisk(knex: Knex, table: string, writes = 'insert'): Promise<() => Promise<unknown>> {
  await knex.raw(`
    create or replace function no_space() returns trigger language plpgsql as $$ begin
      raise exception using errcode = 'disk_full', message = 'could not extend file: No space left on device';
    end $$;
    create trigger no_space before ${writes} on ${table} for each row execute function no_space()`);
  return () => knex.raw(`drop trigger no_space on ${table}`);
}
