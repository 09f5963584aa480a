import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { connect, prepareDatabase, startEmbeddedPostgres } from '../../src/db/index.ts';
import { asSuperuser, type Connection } from './embedded.ts';

/** Logs errors alone. */
export const log = pino({ level: 'error' });
/** Test files run side by side, and the machine may be slow. */
export const PATIENT = {
  acquire: 30_000,
  connect: 30_000,
  statement: 30_000,
  answer: 30_000,
  idleInTransaction: 30_000,
};
const TEMPLATE = 'shop_template';
/** The variable with the URL of the server that `test/run.ts` has started for all test files. */
const SERVER_VARIABLE = 'TEST_SERVER_URL';

/** A PostgreSQL that creates migrated databases with the catalogue. */
export interface TestServer {
  /** @returns the new database's URL */
  create(): Promise<string>;
  drop(url: string): Promise<void>;
  /** Closes the connections that this process has opened. */
  release(): Promise<void>;
}

/** Connects to the server that all test files share. A file that is run by itself starts its own server. */
export async function provideTestServer(): Promise<TestServer> {
  const shared = process.env[SERVER_VARIABLE];
  const own = shared === undefined ? await startTestServer() : null;
  const serverUrl = new URL(shared ?? own?.environment[SERVER_VARIABLE] ?? '');
  const admin = connect({ url: serverUrl.href }, { poolMax: 1, applicationName: 'test', log, deadlines: PATIENT });
  return {
    async create() {
      const name = `test_${randomUUID().replaceAll('-', '')}`;
      await admin.raw('create database ?? template ??', [name, TEMPLATE]);
      return databaseUrl(serverUrl, name);
    },
    async drop(url) {
      await admin.raw('drop database ?? with (force)', [new URL(url).pathname.slice(1)]);
    },
    async release() {
      await admin.destroy();
      await own?.stop();
    },
  };
}

/** Starts a server with a template of the shop's database. */
export async function startTestServer(): Promise<{
  /** Environment variables for the processes that share the server. */
  environment: Record<string, string>;
  stop(): Promise<void>;
}> {
  const dataDir = await mkdtemp(join(tmpdir(), 'fake-shop-test-'));
  const postgres = await startEmbeddedPostgres({
    dataDir,
    log,
    // No data has to survive a crash of the machine.
    settings: { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', max_connections: '300' },
  });
  const connection = await asSuperuser(postgres.connection as Connection, dataDir);
  const { host, port, user, password, database } = connection;
  const serverUrl = new URL(`postgres://${user}:${password}@${host}:${port}/${database}`);
  const admin = connect(connection, { poolMax: 1, applicationName: 'test', log, deadlines: PATIENT });
  await admin.raw('create database ??', [TEMPLATE]);
  await admin.destroy();
  await prepareDatabase({ url: databaseUrl(serverUrl, TEMPLATE) }, { log });
  return {
    environment: { [SERVER_VARIABLE]: serverUrl.href },
    async stop() {
      await postgres.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

function databaseUrl(server: URL, name: string): string {
  const url = new URL(server);
  url.pathname = `/${name}`;
  return url.href;
}
