import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import pg from 'pg';
import { superuserConnection } from '../../src/db/embedded/server.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/db/index.ts';
import { projectRoot } from '../../src/paths.ts';
import { silentLog } from './log.ts';
import { processesNaming } from './system.ts';
import { until, whenDone } from './wait.ts';

export interface Connection {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

/** Starts the embedded database with this process as its owner. */
export async function startEmbedded(
  t: TestContext,
  dataDir: string,
  settings: Record<string, string> = { fsync: 'off' },
): Promise<EmbeddedPostgres & { readonly connection: Connection }> {
  const postgres = await startEmbeddedPostgres({ dataDir, log: silentLog, settings });
  whenDone(t, async () => {
    await postgres.stop();
    await allGone(resolve(dataDir));
  });
  return { ...postgres, connection: postgres.connection as Connection };
}

/** Connection settings of the embedded server's superuser, for what the shop's role may not do. */
export async function asSuperuser(connection: Connection, dataDir: string): Promise<Connection> {
  const password = await readFile(join(dataDir, 'postgres-password'), 'utf8');
  return superuserConnection(connection.port, password);
}

/** Writes a row that {@link assertKept} looks for. */
export async function keep(connection: object): Promise<void> {
  await query(connection, 'create table kept as select 42 as answer');
}

export async function assertKept(connection: object): Promise<void> {
  assert.deepEqual(await query(connection, 'select answer from kept'), [{ answer: 42 }]);
}

export interface Owner {
  readonly child: ChildProcess & { pid: number };
  readonly connection: Connection;
  /** The lines of its standard output after the connection. */
  readonly lines: string[];
  end(signal: NodeJS.Signals): Promise<void>;
}

export interface OwnerOptions {
  /** A command that runs the program, such as `['setpriv', '--reuid=65534']`. */
  readonly prefix?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
}

/**
 * Starts the embedded database in a process and a process group of its own, as a terminal would start the shop.
 *
 * @throws with its standard error when it does not start
 */
export async function startOwner(t: TestContext, folder: string, options: OwnerOptions = {}): Promise<Owner> {
  const program = join(projectRoot, 'test/support/database-owner.ts');
  const [command = '', ...args] = [
    ...(options.prefix ?? []),
    ...[process.execPath, '--import', import.meta.resolve('tsx'), program, folder],
  ];
  const child = spawn(command, args, {
    cwd: options.cwd ?? projectRoot,
    env: { ...process.env, ...options.env },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  }) as ChildProcess & { pid: number };
  let running = true;
  const exited = once(child, 'close').then(() => {
    running = false;
  });
  async function end(signal: NodeJS.Signals): Promise<void> {
    child.kill(signal);
    await exited;
  }
  whenDone(t, () => end('SIGKILL'));

  const lines: string[] = [];
  let complaint = '';
  child.stderr?.on('data', (text) => {
    complaint += text;
  });
  if (child.stdout) createInterface(child.stdout).on('line', (line) => lines.push(line));
  await until('the owner prints its connection or ends', () => lines.length > 0 || !running, 60_000);
  const said = lines.shift();
  if (said === undefined) throw new Error(`The owner ended: ${complaint}`);
  // Not for an owner that was refused: the database of the folder's other owner still runs then.
  whenDone(t, async () => {
    await end('SIGKILL');
    await allGone(folder);
  });
  return { child, connection: JSON.parse(said), lines, end };
}

/** Runs one query on a connection of its own. */
export async function query(connection: object, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ ...connection, connectionTimeoutMillis: 5000 });
  client.on('error', () => {});
  try {
    await client.connect();
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

/** PostgreSQL's server and its watchers on a data folder. */
export function processesIn(folder: string): Promise<number[]> {
  return processesNaming(`${folder}/postgres`);
}

/** The server's main process. */
export async function postmasterPid(folder: string): Promise<number> {
  const text = await readFile(join(folder, 'postgres', 'postmaster.pid'), 'utf8');
  return Number(text.split('\n')[0]);
}

/** Waits until no server and no watcher is left on a data folder. */
export async function allGone(folder: string): Promise<void> {
  await until(`no process is left on ${folder}`, async () => (await processesIn(folder)).length === 0);
}
