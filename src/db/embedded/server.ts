import { spawn } from 'node:child_process';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { StartError } from '../../start-error.ts';
import { clientConfig } from '../connect.ts';
import { isNotAuthorized, isWrongPassword, mayPass, reasonOf } from '../failures.ts';
import type { ClusterPaths } from './cluster-folder.ts';
import { isRunning, readPostmaster } from './postmaster.ts';
import { type Account, type Binaries, serverEnvironment } from './program.ts';
import { DATABASE, provideRole, SHOP_ROLE, SUPERUSER, shopPassword } from './roles.ts';

const SECOND = 1000;
/** Recovery after a crash is the slowest start. */
const READY_DEADLINE_MS = 120 * SECOND;
const READY_POLL_MS = 20;
const LOG_LIMIT_BYTES = 1_000_000;
const START_DEADLINES = { connect: 5 * SECOND, answer: 30 * SECOND };
/** Messages of the system that do not point to damaged files. */
const SYSTEM_FAULT = /No space left|Cannot allocate|Too many open files|Permission denied|Read-only|quota/i;
const HOST = '127.0.0.1';

export interface ServerOptions {
  readonly paths: ClusterPaths;
  readonly binaries: Binaries;
  readonly account: Account;
  /** The superuser's. */
  readonly password: string;
  /** PostgreSQL's settings (its manual, "Server Configuration") over the defaults here. */
  readonly settings: Readonly<Record<string, string>>;
}

/** The server did not get ready; the message has why, in its own words, and the remedy. */
export class ServerStartError extends StartError {
  override readonly name = 'ServerStartError';
  /** Another program has the port. */
  readonly portTaken: boolean;
  /** The former server's last processes are still there. */
  readonly formerStillThere: boolean;

  constructor(cause: unknown, logged: string, paths: ClusterPaths) {
    const portTaken = logged.includes('could not create any TCP/IP sockets');
    const formerStillThere = /pre-existing shared memory block|lock file "postmaster.pid" already exists/.test(logged);
    const reason = reasonIn(logged) ?? (cause instanceof pg.DatabaseError ? cause.message : undefined);
    const isDamage = reason !== undefined && !portTaken && !formerStillThere && !SYSTEM_FAULT.test(reason);
    super(
      `PostgreSQL did not start on ${paths.cluster}: ${reason ?? reasonOf(cause)}. ${isDamage ? remedy(paths) : `See ${paths.log}.`}`,
      { cause },
    );
    this.portTaken = portTaken;
    this.formerStillThere = formerStillThere;
  }
}

/** Why a server ended: its first fatal error, or its message before it had a log. */
function reasonIn(logged: string): string | undefined {
  const [, fatal, detail] =
    /(?:FATAL|PANIC): {2}(?!the database system is )(.+)(?:\n.*DETAIL: {2}(.+?)\.?$)?/m.exec(logged) ?? [];
  if (fatal !== undefined) return detail === undefined ? fatal : `${fatal} (${detail})`;
  const [, early] = /^postgres: (.+)/ms.exec(logged) ?? [];
  return early?.replace(/\s+/g, ' ');
}

/** The remedy for damaged files. */
function remedy({ folder, cluster, log }: ClusterPaths): string {
  return `Bring ${folder} back from a backup, or move ${cluster} away to start with an empty shop; ${log} has more.`;
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
      if (error instanceof StartError) throw error;
      throw new ServerStartError(error, await logged(log, logStart), paths);
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
    // A statement that waits for a lock ends with the worker that sent it, not when it gets the lock.
    client_connection_check_interval: '1s',
    ...settings,
  };
  const options = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  return [...account.prefix, binaries.postgres, '-D', paths.cluster, ...options];
}

/** @returns false while the server can't take a connection yet */
async function provideDatabase({ paths, password }: ServerOptions, port: number): Promise<boolean> {
  const asSuperuser = (database: string) => openClient({ ...superuserConnection(port, password), database });
  let client: pg.Client;
  try {
    client = await asSuperuser('postgres');
  } catch (error) {
    if (isWrongPassword(error) && (await isOurs(paths.cluster, port))) {
      throw new StartError(
        `${paths.password} does not hold the password of the database in ${paths.cluster}: bring the right file back, or remove both to start with an empty shop.`,
        { cause: error },
      );
    }
    if (error instanceof pg.DatabaseError && !mayPass(error) && (await isOurs(paths.cluster, port))) {
      const advice = isNotAuthorized(error)
        ? `Look at ${paths.cluster}/pg_hba.conf, or remove ${paths.cluster} to start with an empty shop.`
        : remedy(paths);
      throw new StartError(`The embedded PostgreSQL refuses the shop: ${error.message}. ${advice}`, { cause: error });
    }
    return false;
  }
  try {
    const { rows } = await client.query<{ folder: string }>(`select current_setting('data_directory') as folder`);
    // Another server, which took the port at this moment.
    if (rows[0]?.folder !== paths.cluster) return false;
    await provideRole(client, () => asSuperuser(DATABASE), password);
    // Its files may be damaged while those of the database `postgres` are whole.
    await (await asSuperuser(DATABASE)).end();
    return true;
  } finally {
    await client.end();
  }
}

async function openClient(connection: ReturnType<typeof superuserConnection>): Promise<pg.Client> {
  const client = new pg.Client(clientConfig(connection, 'fake-shop start', START_DEADLINES));
  client.on('error', () => {});
  try {
    await client.connect();
    return client;
  } catch (error) {
    void client.end().catch(() => {});
    throw error;
  }
}

/** Whether it is our server that answers on this port. */
async function isOurs(cluster: string, port: number): Promise<boolean> {
  const postmaster = await readPostmaster(cluster);
  return postmaster?.port === port && postmaster.ready && isRunning(cluster, postmaster.pid);
}

/** The shop's connection to a server that {@link startServer} started. */
export function serverConnection(port: number, superuserPassword: string) {
  return { host: HOST, port, user: SHOP_ROLE, password: shopPassword(superuserPassword), database: DATABASE };
}

/** For managing the server alone. */
export function superuserConnection(port: number, password: string) {
  return { host: HOST, port, user: SUPERUSER, password, database: DATABASE };
}

async function logged(log: FileHandle, from: number): Promise<string> {
  const { size } = await log.stat();
  const { buffer } = await log.read({ buffer: Buffer.alloc(Math.max(0, size - from)), position: from });
  return buffer.toString().trim();
}

/** The watcher gives a server 15 s to stop, then kills it. After this the watcher itself is killed. */
const WATCHER_DEADLINE_MS = 20_000;

/**
 * Runs the server and outlives its owner just long enough to stop it. The owner holds the other end of the pipe on
 * standard input and never writes: when that end closes, because the owner is done or dead, the server is asked to stop
 * in three ways. It is a shell script because every system has a shell, and because no `pkill node` hits it. It ignores
 * signals, so it ends only after its server.
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

/** One life of the server. */
export interface Server {
  /** Resolves with the reason when it has ended, by itself or not. */
  readonly ended: Promise<string>;
  /** Cuts connections, writes everything, ends. The server is left over if its watcher had to be killed. */
  stop(): Promise<void>;
}

/**
 * Starts a server under its watcher.
 *
 * @param command the server's whole command line
 * @param logFd file descriptor for its output
 * @param stalePid process id in `postmaster.pid` that PostgreSQL must not take for a server
 */
function watchServer(command: readonly string[], logFd: number, stalePid: number | undefined): Server {
  const child = spawn('sh', ['-c', WATCHER, 'fake-shop-postgres', ...command], {
    // In its own process group: Ctrl-C reaches the whole group of the terminal, and the database has to go last.
    detached: true,
    stdio: ['pipe', logFd, logFd],
    cwd: '/',
    env: {
      ...serverEnvironment(),
      // PostgreSQL takes this process for no rival, though its id is in postmaster.pid (miscinit.c, CreateLockFile).
      ...(stalePid !== undefined && { PG_GRANDPARENT_PID: String(stalePid) }),
    },
  });
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
      const timeout = setTimeout(() => child.kill('SIGKILL'), WATCHER_DEADLINE_MS);
      await ended;
      clearTimeout(timeout);
    },
  };
}
