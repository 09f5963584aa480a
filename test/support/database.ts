import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext } from 'node:test';
import type { Knex } from 'knex';
import { pino } from 'pino';
import { connect, prepareDatabase, startEmbeddedPostgres } from '../../src/db/index.ts';
import { whenDone } from './when-done.ts';

/** Says only what a failing test's reader needs. */
const log = pino({ level: 'error' });
/** Test files run side by side, and the machine may be slow. */
export const PATIENT = {
  acquire: 30_000,
  connect: 30_000,
  statement: 30_000,
  answer: 30_000,
  idleInTransaction: 30_000,
};
const TEMPLATE = 'shop_template';

export interface TestDatabase {
  /** For `DATABASE_URL`. */
  readonly url: string;
  readonly connection: { readonly url: string };
  /** Closed at the test's end. */
  readonly knex: Knex;
}

interface TestServer {
  create(): Promise<string>;
  drop(url: string): Promise<void>;
  stop(): Promise<void>;
}

let started: Promise<TestServer> | undefined;

after(async () => (await started)?.stop());

/**
 * A database of the test's own, migrated and with the catalogue in it, on a server that all tests of the process share.
 * It is gone at the test's end, whoever is still connected.
 */
export async function testDatabase(t: TestContext): Promise<TestDatabase> {
  started ??= startServer();
  const server = await started;
  const url = await server.create();
  const knex = connect({ url }, { poolMax: 5, applicationName: 'test', log, deadlines: PATIENT });
  whenDone(t, async () => {
    await knex.destroy();
    await server.drop(url);
  });
  return { url, connection: { url }, knex };
}

async function startServer(): Promise<TestServer> {
  const dataDir = await mkdtemp(join(tmpdir(), 'fake-shop-test-'));
  const postgres = await startEmbeddedPostgres({
    dataDir,
    log,
    // Nothing here needs to outlive the machine.
    settings: { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', max_connections: '200' },
  });
  const { connection } = postgres;
  if ('url' in connection) throw new Error('the embedded server has no URL');
  const { host, port, user, password } = connection;
  const urlOf = (name: string) => `postgres://${user}:${password}@${host}:${port}/${name}`;
  const admin = connect(connection, { poolMax: 1, applicationName: 'test', log, deadlines: PATIENT });
  await admin.raw('create database ??', [TEMPLATE]);
  await prepareDatabase({ url: urlOf(TEMPLATE) }, { log });

  return {
    async create() {
      const name = `test_${randomUUID().replaceAll('-', '')}`;
      await admin.raw('create database ?? template ??', [name, TEMPLATE]);
      return urlOf(name);
    },
    async drop(url) {
      await admin.raw('drop database ?? with (force)', [new URL(url).pathname.slice(1)]);
    },
    async stop() {
      await admin.destroy();
      await postgres.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
