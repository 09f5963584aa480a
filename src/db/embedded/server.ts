import { type FileHandle, open, stat } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { clientConfig } from '../connect.ts';
import type { Account } from './account.ts';
import type { Binaries } from './binaries.ts';
import { type ClusterPaths, USER } from './cluster-folder.ts';
import { type Server, watchServer } from './watcher.ts';

const SECOND = 1000;
/** Recovery after a crash is the slowest start. */
const READY_DEADLINE_MS = 120 * SECOND;
const READY_POLL_MS = 20;
const LOG_LIMIT_BYTES = 1_000_000;
const DATABASE = 'fake_shop';
const HOST = '127.0.0.1';

export interface ServerOptions {
  readonly paths: ClusterPaths;
  readonly binaries: Binaries;
  readonly account: Account;
  readonly password: string;
  /** PostgreSQL's settings (its manual, "Server Configuration") over the defaults here. */
  readonly settings: Readonly<Record<string, string>>;
}

/** The server did not get ready; the message ends with what it said. */
export class ServerStartError extends Error {
  override readonly name = 'ServerStartError';
  /** Someone else has the port. */
  readonly portTaken: boolean;
  /** The former server's last processes are still there. */
  readonly formerStillThere: boolean;

  constructor(cause: unknown, logged: string) {
    super(`PostgreSQL did not start: ${cause instanceof Error ? cause.message : cause}\n${logged}`.trim(), { cause });
    this.portTaken = logged.includes('could not create any TCP/IP sockets');
    this.formerStillThere = /pre-existing shared memory block|lock file "postmaster.pid" already exists/.test(logged);
  }
}

/**
 * Starts the server on a port of 127.0.0.1 and waits until it answers and has the shop's database.
 *
 * @param stalePid process id in `postmaster.pid` that PostgreSQL must not take for a server
 * @throws {ServerStartError}
 */
export async function startServer(options: ServerOptions, port: number, stalePid?: number): Promise<Server> {
  const { paths } = options;
  const size = await stat(paths.log).then(
    ({ size }) => size,
    () => 0,
  );
  const log = await open(paths.log, size > LOG_LIMIT_BYTES ? 'w+' : 'a+', 0o600);
  try {
    const logStart = (await log.stat()).size;
    const server = watchServer(serverCommand(options, port), log.fd, stalePid);
    try {
      await waitUntilReady(server, options, port);
      return server;
    } catch (error) {
      await server.stop();
      throw new ServerStartError(error, await logged(log, logStart));
    }
  } finally {
    await log.close();
  }
}

async function waitUntilReady(server: Server, options: ServerOptions, port: number): Promise<void> {
  let ending: string | undefined;
  void server.ended.then((how) => {
    ending = how;
  });
  const deadline = performance.now() + READY_DEADLINE_MS;
  while (!(await provideDatabase(options, port))) {
    if (ending !== undefined) throw new Error(`it ended (${ending})`);
    if (performance.now() > deadline) throw new Error(`it was not ready within ${READY_DEADLINE_MS / SECOND} s`);
    await delay(READY_POLL_MS);
  }
}

function serverCommand({ account, binaries, paths, settings }: ServerOptions, port: number): string[] {
  const all = {
    listen_addresses: HOST,
    port: String(port),
    unix_socket_directories: '',
    // The shop gets and logs its errors itself; PostgreSQL would write the values of refused rows beside them.
    log_min_messages: 'log',
    log_min_error_statement: 'panic',
    log_checkpoints: 'off',
    ...settings,
  };
  const options = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  return [...account.prefix, binaries.postgres, '-D', paths.cluster, ...options];
}

/** @returns false while the server can't take a connection yet */
async function provideDatabase({ paths, password }: ServerOptions, port: number): Promise<boolean> {
  const client = new pg.Client(
    clientConfig({ host: HOST, port, user: USER, password, database: 'postgres' }, 'fake-shop start', {
      connect: 5 * SECOND,
      statement: 30 * SECOND,
      answer: 30 * SECOND,
      idleInTransaction: 30 * SECOND,
    }),
  );
  client.on('error', () => {});
  try {
    await client.connect();
  } catch {
    return false;
  }
  try {
    const { rows } = await client.query<{ folder: string; there: boolean }>(
      `select current_setting('data_directory') as folder,
              exists(select from pg_database where datname = $1) as there`,
      [DATABASE],
    );
    // Some other server that took the port in this very moment.
    if (rows[0]?.folder !== paths.cluster) return false;
    if (!rows[0].there) await client.query(`create database ${DATABASE}`);
    return true;
  } finally {
    await client.end();
  }
}

/** How to reach a server that {@link startServer} started. */
export function serverConnection(port: number, password: string) {
  return { host: HOST, port, user: USER, password, database: DATABASE };
}

async function logged(log: FileHandle, from: number): Promise<string> {
  const { size } = await log.stat();
  const { buffer } = await log.read({ buffer: Buffer.alloc(Math.max(0, size - from)), position: from });
  return buffer.toString().trim();
}
