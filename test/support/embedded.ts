import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import pg from 'pg';
import { pino } from 'pino';
import { superuserConnection } from '../../src/db/embedded/server.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/db/index.ts';
import { projectRoot } from '../../src/paths.ts';
import { until } from './wait.ts';
import { whenDone } from './when-done.ts';

export interface Connection {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

/**
 * A folder of the test's own, with a space in its name, as many people's folders have. It goes at the test's end, when
 * no database is left on it.
 */
export async function temporaryFolder(t: TestContext, parent = tmpdir()): Promise<string> {
  const folder = await realpath(await mkdtemp(join(parent, 'fake shop ')));
  whenDone(t, async () => {
    await allGone(folder);
    await rm(folder, { recursive: true, force: true });
  });
  return folder;
}

/** Runs the embedded database in this process. */
export async function startEmbedded(
  t: TestContext,
  dataDir: string,
  settings: Record<string, string> = { fsync: 'off' },
): Promise<EmbeddedPostgres & { readonly connection: Connection }> {
  const postgres = await startEmbeddedPostgres({ dataDir, log: pino({ level: 'silent' }), settings });
  whenDone(t, () => postgres.stop());
  return { ...postgres, connection: postgres.connection as Connection };
}

/** The way in of the embedded server's own management, where the shop's role has too few rights. */
export async function asSuperuser(connection: Connection, dataDir: string): Promise<Connection> {
  const password = await readFile(join(dataDir, 'postgres-password'), 'utf8');
  return superuserConnection(connection.port, password);
}

/** Puts something in, to be found later by {@link assertKept}. */
export async function keep(connection: object): Promise<void> {
  await query(connection, 'create table kept as select 42 as answer');
}

export async function assertKept(connection: object): Promise<void> {
  assert.deepEqual(await query(connection, 'select answer from kept'), [{ answer: 42 }]);
}

export interface Owner {
  readonly child: ChildProcess & { pid: number };
  readonly connection: Connection;
  /** What it has said since, a line each. */
  readonly lines: string[];
  end(signal: NodeJS.Signals): Promise<void>;
}

export interface OwnerOptions {
  /** Put before the command, as `['setpriv', '--reuid=65534']`. */
  readonly prefix?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
}

/**
 * Runs the embedded database in a process of its own, in its own process group, as a terminal would.
 *
 * @throws with what it said, when it can't start
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
  await until('the owner says something or ends', () => lines.length > 0 || !running, 60_000);
  const said = lines.shift();
  if (said === undefined) throw new Error(`The owner ended: ${complaint}`);
  return { child, connection: JSON.parse(said), lines, end };
}

/** One query on a connection of its own. */
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

export interface FoundProcess {
  readonly pid: number;
  readonly command: string;
}

/** PostgreSQL's server and its watchers in a folder. */
export async function processesIn(folder: string): Promise<FoundProcess[]> {
  const found: FoundProcess[] = [];
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const command = await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '');
    if (command.includes(`${folder}/postgres`)) found.push({ pid: Number(name), command });
  }
  return found;
}

/** The server's own process, not its watchers. */
export async function postmasterPid(folder: string): Promise<number> {
  const text = await readFile(join(folder, 'postgres', 'postmaster.pid'), 'utf8');
  return Number(text.split('\n')[0]);
}

export async function allGone(folder: string): Promise<void> {
  await until(`no process is left on ${folder}`, async () => (await processesIn(folder)).length === 0);
}
