import { after, type TestContext } from 'node:test';
import type { Knex } from 'knex';
import { connect } from '../../src/db/index.ts';
import { log, PATIENT, provideTestServer, type TestServer } from './test-server.ts';
import { whenDone } from './when-done.ts';

export interface TestDatabase {
  /** For `DATABASE_URL`. */
  readonly url: string;
  readonly connection: { readonly url: string };
  /** Closed at the test's end. */
  readonly knex: Knex;
}

let provided: Promise<TestServer> | undefined;

after(async () => (await provided)?.release());

/**
 * A database of the test's own, migrated and with the catalogue in it, on a server that all tests share. It is gone at the test's end, whoever is still connected.
 */
export async function testDatabase(t: TestContext): Promise<TestDatabase> {
  provided ??= provideTestServer();
  const server = await provided;
  const url = await server.create();
  const knex = connect({ url }, { poolMax: 5, applicationName: 'test', log, deadlines: PATIENT });
  whenDone(t, async () => {
    await knex.destroy();
    await server.drop(url);
  });
  return { url, connection: { url }, knex };
}
