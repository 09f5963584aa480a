import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import pg from 'pg';
import { clusterPaths, provideCluster } from '../../../src/db/embedded/cluster-folder.ts';
import { findAccount, findBinaries } from '../../../src/db/embedded/program.ts';
import type { Server } from '../../../src/db/embedded/server.ts';
import { startServer, superuserConnection } from '../../../src/db/embedded/server.ts';
import { prepareDatabase } from '../../../src/db/index.ts';
import { allGone, postmasterPid } from '../../support/embedded.ts';
import { silentLog } from '../../support/log.ts';
import { freePort, temporaryFolder } from '../../support/system.ts';
import { until, whenDone } from '../../support/wait.ts';

/** A PostgreSQL of the test's own that can be stopped, frozen and exhausted. Its port never changes. */
export interface OwnServer {
  readonly port: number;
  /** A database with the shop's schema and catalogue. */
  readonly url: string;
  /** Shuts down in order and ends every connection. */
  stop(): Promise<void>;
  /** Starts it again and returns when it answers. */
  start(): Promise<void>;
  /** Stops all of its processes: connections stay open without an answer. */
  freeze(): Promise<void>;
  thaw(): Promise<void>;
  /** Ends the connections of all other clients. */
  dropConnections(): Promise<void>;
  /** Takes every connection that the server has, also those of other clients. The returned function releases them. */
  occupy(): Promise<() => Promise<void>>;
}

/**
 * Few enough to take them all. Twice what two workers and their primary may hold, because the server keeps connections that
 * the network has forgotten.
 */
const MAX_CONNECTIONS = 2 * (2 * 11 + 5) + 10;
const TOO_MANY_CONNECTIONS = '53300';

export async function startOwnServer(t: TestContext): Promise<OwnServer> {
  const folder = await temporaryFolder(t);
  const paths = clusterPaths(folder);
  const binaries = await findBinaries();
  const account = await findAccount(binaries.postgres, paths.folder, paths.cluster);
  const password = await provideCluster(paths, binaries, account);
  const settings = { fsync: 'off', max_connections: String(MAX_CONNECTIONS) };
  const port = await freePort();
  const start = () => startServer({ paths, binaries, account, password, settings }, port);

  let server: Server | undefined = await start();
  let frozen: number[] = [];
  async function stop(): Promise<void> {
    await server?.stop();
    server = undefined;
  }
  async function thaw(): Promise<void> {
    // The postmaster last: until then, a process that has ended is a zombie, and its pid is valid.
    for (const pid of frozen.toReversed()) process.kill(pid, 'SIGCONT');
    frozen = [];
  }
  whenDone(t, async () => {
    await stop();
    await allGone(folder);
  });
  whenDone(t, thaw);

  const { host, user, database } = superuserConnection(port, password);
  const url = `postgres://${user}:${password}@${host}:${port}/${database}`;
  await prepareDatabase({ url }, { log: silentLog });

  async function connect(): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: url, application_name: 'test', connectionTimeoutMillis: 10_000 });
    client.on('error', () => {});
    await client.connect();
    return client;
  }

  async function dropOthers(client: pg.Client): Promise<void> {
    await client.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where backend_type = 'client backend' and application_name <> 'test'`,
    );
  }

  return {
    port,
    url,
    stop,
    async start() {
      server = await start();
    },
    async freeze() {
      const postmaster = await postmasterPid(folder);
      // The postmaster first, so that it starts no further process.
      process.kill(postmaster, 'SIGSTOP');
      frozen = [postmaster];
      const children = await readFile(
        join('/proc', String(postmaster), 'task', String(postmaster), 'children'),
        'utf8',
      );
      for (const pid of children.trim().split(' ').map(Number)) {
        process.kill(pid, 'SIGSTOP');
        frozen.push(pid);
      }
    },
    thaw,
    async dropConnections() {
      const client = await connect();
      await dropOthers(client);
      await client.end();
    },
    async occupy() {
      const taken = [await connect()];
      await until('the server has no free connection', async () => {
        try {
          for (;;) taken.push(await connect());
        } catch (error) {
          if ((error as { code?: string }).code !== TOO_MANY_CONNECTIONS) throw error;
        }
        // Counts its own: a connection that logs in or ends can have a place and no row in pg_stat_activity.
        await dropOthers(taken[0] as pg.Client);
        return taken.length === MAX_CONNECTIONS;
      });
      return async () => {
        await Promise.all(taken.map((client) => client.end()));
      };
    },
  };
}
