import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { projectRoot } from '../../src/paths.ts';
import { testDatabase } from './database.ts';
import { parseExposition, type Scrape } from './exposition.ts';
import { createVisitor, type Visitor } from './visitor.ts';
import { isAlive, until } from './wait.ts';

export interface ClusterOptions {
  workers?: number;
  /** On top of the harness's own variables; an empty value counts as unset. */
  env?: Record<string, string>;
  /** `fresh`: a new database on the test's server; `embedded`: the shop's own; or one that the test has. */
  database?: 'fresh' | 'embedded' | { readonly url: string };
  /** For a second start on the same data. */
  dataDir?: string;
  /** Where the built project is; this one by default. */
  folder?: string;
}

interface Status {
  primary: { pid: number; startedAt: string; version: string };
  workers: Array<{ worker: number; pid: number | null; state: string; startedAt: string | null; restarts: number }>;
  database: { embedded: boolean; up: boolean };
}

/** A running shop: the real program, built, in its own processes. */
export interface RunningCluster {
  /** Pid of the primary. */
  pid: number;
  shopUrl: string;
  opsUrl: string;
  dataDir: string;
  output(): string;
  visitor(): Visitor;
  /** Scrapes the primary. */
  metrics(query?: string): Promise<Scrape>;
  status(): Promise<Status>;
  /** Pids of the primary and of all its descendants, the database's included. */
  processes(): Promise<number[]>;
  /** Sends a signal to the primary and waits for its end. */
  stop(signal?: NodeJS.Signals): Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
}

const START_DEADLINE_MS = 60_000;

/** Starts `dist/src/main.js` on free ports and waits until it is ready; stops it when the test ends. */
export async function startCluster(t: TestContext, options: ClusterOptions = {}): Promise<RunningCluster> {
  const dataDir = options.dataDir ?? (await temporaryFolder(t));
  const { database = 'fresh' } = options;
  const given = database === 'fresh' ? await testDatabase(t) : database;
  const databaseUrl: Record<string, string> = given === 'embedded' ? {} : { DATABASE_URL: given.url };
  const { child, output } = spawnShop(
    {
      PORT: '0',
      METRICS_PORT: '0',
      HOST: '127.0.0.1',
      WORKERS: String(options.workers ?? 2),
      DATA_DIR: dataDir,
      RATE_LIMIT: 'off',
      ...databaseUrl,
      ...options.env,
    },
    options.folder,
  );
  const exited = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
  const pid = child.pid as number;

  async function stop(signal: NodeJS.Signals = 'SIGTERM') {
    if (child.exitCode === null && child.signalCode === null) process.kill(pid, signal);
    const [code, endedBy] = await exited;
    return { code, signal: endedBy };
  }
  t.after(async () => {
    const family = await descendants(pid);
    await stop();
    await until('all processes of the shop end', async () => {
      for (const member of family) if (await isAlive(member)) return false;
      return true;
    });
  });

  const ended = () => child.exitCode !== null || child.signalCode !== null;
  const ready = await until('the shop is ready', () => readyLine(output()) ?? ended(), START_DEADLINE_MS).catch(
    (error) => {
      throw new Error(`${error.message}\n${output()}`);
    },
  );
  assert.ok(ready !== true, `the shop ended:\n${output()}`);

  return {
    pid,
    dataDir,
    shopUrl: ready.shop,
    opsUrl: ready.ops,
    output,
    stop,
    visitor: () => createVisitor(ready.shop),
    async metrics(query = '') {
      const response = await fetch(`${ready.ops}/metrics${query}`, { signal: AbortSignal.timeout(10_000) });
      const text = await response.text();
      assert.equal(response.status, 200, text);
      return parseExposition(text);
    },
    async status() {
      const response = await fetch(`${ready.ops}/status`, { signal: AbortSignal.timeout(10_000) });
      return (await response.json()) as Status;
    },
    processes: () => descendants(pid),
  };
}

/**
 * Asks for `/livez`, each time over a new connection, until every worker has answered: which of them takes a connection
 * is up to the system.
 *
 * @returns how many requests that took
 */
export async function askEveryWorker(shop: Pick<RunningCluster, 'shopUrl' | 'metrics' | 'status'>): Promise<number> {
  const places = (await shop.status()).workers.map(({ worker }) => worker);
  const answered = async (place: number) =>
    (await shop.metrics(`?worker=${place}`)).of('http_request_duration_seconds_count', { route: '/livez' });
  const before = await Promise.all(places.map(answered));
  let requests = 0;
  await until('every worker has answered', async () => {
    for (const _ of places) await fetch(`${shop.shopUrl}/livez`, { headers: { connection: 'close' } });
    requests += places.length;
    const after = await Promise.all(places.map(answered));
    return after.every((count, i) => count > (before[i] as number));
  });
  return requests;
}

/** Starts the built program as a child, with nothing of this process's own configuration. */
export function spawnShop(
  env: Record<string, string>,
  folder = projectRoot,
): { child: ChildProcess; output(): string } {
  const child = spawn(process.execPath, ['--enable-source-maps', 'dist/src/main.js'], {
    cwd: folder,
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    if (stream) createInterface({ input: stream }).on('line', (line) => lines.push(line));
  }
  return { child, output: () => lines.join('\n') };
}

export async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'fake-shop-test-'));
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}

function readyLine(output: string): { shop: string; ops: string } | undefined {
  const line = output.split('\n').find((candidate) => candidate.includes('"shopUrl"'));
  if (line === undefined) return undefined;
  const { shopUrl, opsUrl } = JSON.parse(line) as { shopUrl: string; opsUrl: string };
  return { shop: shopUrl, ops: opsUrl };
}

/** A process and all below it; `/proc` knows, so this runs on Linux only, as the embedded database's tests do. */
export async function descendants(root: number): Promise<number[]> {
  const { readdir, readFile } = await import('node:fs/promises');
  const parents = new Map<number, number>();
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const stat = await readFile(`/proc/${entry}/stat`, 'utf8').catch(() => '');
    const parent = /^\d+ \(.*\) \S (\d+)/s.exec(stat)?.[1];
    if (parent) parents.set(Number(entry), Number(parent));
  }
  const family = [root];
  for (const member of family) for (const [pid, parent] of parents) if (parent === member) family.push(pid);
  return family;
}
