import { spawn } from 'node:child_process';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { clientConfig } from '../connect.ts';
import type { Account } from './account.ts';
import { type Binaries, serverEnvironment } from './binaries.ts';
import { type ClusterPaths, USER } from './cluster-folder.ts';

const SECOND = 1000;
/** Recovery after a crash is the slowest start. */
const READY_DEADLINE_MS = 120 * SECOND;
const READY_POLL_MS = 20;
/** The watcher gives a server 15 s to stop, then kills it. */
const STOP_DEADLINE_MS = 20 * SECOND;
const LOG_LIMIT_BYTES = 1_000_000;
const DATABASE = 'fake_shop';
const HOST = '127.0.0.1';

/**
 * Runs the server and outlives its owner just long enough to stop it. The owner holds the other end of the pipe on
 * standard input and never writes: when that end closes, because the owner is done or dead, the server is asked to stop
 * in three ways. A shell, since it is everywhere and no `pkill node` hits it; it heeds no signal, so it ends after its server only.
 */
const WATCHER = `
trap '' INT TERM HUP
exec 3<&0 </dev/null
"$@" 3<&- &
server=$!
{
  read -r _ <&3
  for signal in INT QUIT KILL; do
    kill -s "$signal" "$server" || exit
    tries=0
    while [ "$tries" -lt 50 ] && kill -s 0 "$server"; do
      sleep 0.1
      tries=$((tries + 1))
    done
  done
} 2>/dev/null &
reader=$!
wait "$server"
code=$?
kill -s KILL "$reader" 2>/dev/null
wait "$reader" 2>/dev/null
exit "$code"
`;

export interface ServerOptions {
  readonly paths: ClusterPaths;
  readonly binaries: Binaries;
  readonly account: Account;
  readonly password: string;
  /** PostgreSQL's settings (its manual, "Server Configuration") over the defaults here. */
  readonly settings: Readonly<Record<string, string>>;
}

/** One life of the server. */
export interface Server {
  /** Resolves when it has ended, by itself or not, with how. */
  readonly ended: Promise<string>;
  /** Cuts connections, writes everything, ends. */
  stop(): Promise<void>;
}

/** The server ended before it was ready. */
export class ServerStartError extends Error {
  override readonly name = 'ServerStartError';
  /** Someone else has the port. */
  readonly portTaken: boolean;
  /** The former server's last processes are still there. */
  readonly formerStillThere: boolean;

  constructor(message: string, logged: string) {
    super(`${message}\n${logged}`.trim());
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
    const server = runServer(options, port, stalePid, log.fd);
    let ending: string | undefined;
    void server.ended.then((how) => {
      ending = how;
    });
    const deadline = Date.now() + READY_DEADLINE_MS;
    while (!(await provideDatabase(options, port))) {
      if (ending !== undefined) {
        throw new ServerStartError(`PostgreSQL ended at its start (${ending})`, await logged(log, logStart));
      }
      if (Date.now() > deadline) {
        await server.stop();
        throw new ServerStartError('PostgreSQL did not get ready', await logged(log, logStart));
      }
      await delay(READY_POLL_MS);
    }
    return server;
  } finally {
    await log.close();
  }
}

function runServer(options: ServerOptions, port: number, stalePid: number | undefined, logFd: number): Server {
  const { account, binaries, paths } = options;
  const settings = {
    listen_addresses: HOST,
    port: String(port),
    unix_socket_directories: '',
    // The shop gets and logs its errors itself; PostgreSQL would write the values of refused rows beside them.
    log_min_messages: 'log',
    log_min_error_statement: 'panic',
    log_checkpoints: 'off',
    ...options.settings,
  };
  const child = spawn(
    'sh',
    [
      ...['-c', WATCHER, 'fake-shop-postgres', ...account.prefix, binaries.postgres, '-D', paths.cluster],
      ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ],
    {
      // In its own process group: Ctrl-C reaches the whole group of the terminal, and the database has to go last.
      detached: true,
      stdio: ['pipe', logFd, logFd],
      cwd: '/',
      env: {
        ...serverEnvironment(),
        // PostgreSQL takes this process for no rival, though its id is in postmaster.pid (miscinit.c, CreateLockFile).
        ...(stalePid !== undefined && { PG_GRANDPARENT_PID: String(stalePid) }),
      },
    },
  );
  const lifeline = child.stdin;
  lifeline?.on('error', () => {});
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => {
      // If it was the watcher that was killed, this lets its other half stop the server.
      lifeline?.destroy();
      resolve(signal ?? `exit code ${code}`);
    });
  });
  return {
    ended,
    async stop() {
      lifeline?.destroy();
      const timeout = new AbortController();
      await Promise.race([ended, delay(STOP_DEADLINE_MS, undefined, { signal: timeout.signal }).catch(() => {})]);
      timeout.abort();
    },
  };
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
