import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { type Exemplar, type Exposition, parseExposition } from '@techcommerce/cluster-metrics/testing';
import { projectRoot } from '../../src/paths.ts';
import { testDatabase } from './database.ts';
import { descendants, isAlive, temporaryFolder } from './system.ts';
import { createVisitor, type Visitor } from './visitor.ts';
import { until, whenDone } from './wait.ts';

export interface ClusterOptions {
  workers?: number;
  /** Added to the variables that {@link startCluster} sets; an empty value counts as unset. */
  env?: Record<string, string>;
  /** `fresh`: a new database on the tests' server; `embedded`: the shop starts its own; or a database that the test has made. */
  database?: 'fresh' | 'embedded' | { readonly url: string };
  /** Default: a new folder. Give one for a second start on the same data. */
  dataDir?: string;
  /** The built project to start; default: this one. */
  folder?: string;
}

interface Status {
  primary: { pid: number; startedAt: string; version: string };
  workers: Array<{ worker: number; pid: number | null; state: string; startedAt: string | null; restarts: number }>;
  database: { embedded: boolean; up: boolean };
}

/** A running shop: the built program in processes of its own. */
export interface RunningCluster {
  /** Pid of the primary. */
  pid: number;
  shopUrl: string;
  opsUrl: string;
  dataDir: string;
  output(): string;
  visitor(): Visitor;
  /** Scrapes the primary. */
  metrics(query?: string): Promise<Exposition>;
  /** The exemplars of a metric's buckets. The workers write them once a second. */
  exemplars(metric: string): Promise<(Exemplar & { sample: Readonly<Record<string, string>> })[]>;
  status(): Promise<Status>;
  /** Pids of the primary and of all its descendants, the database's included. */
  processes(): Promise<number[]>;
  /** Sends a signal to the primary, and waits until it has exited. Default: `SIGINT`, since `SIGTERM` gives balancers notice. */
  stop(signal?: NodeJS.Signals): Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
}

const START_DEADLINE_MS = 120_000;

/** Starts the built shop on free ports and waits until it is ready. The shop stops when the test ends. */
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

  async function stop(signal: NodeJS.Signals = 'SIGINT') {
    if (child.exitCode === null && child.signalCode === null) process.kill(pid, signal);
    const [code, endedBy] = await exited;
    return { code, signal: endedBy };
  }
  whenDone(t, async () => {
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
    async exemplars(metric) {
      const response = await fetch(`${ready.ops}/metrics`, {
        headers: { accept: 'application/openmetrics-text; version=1.0.0' },
        signal: AbortSignal.timeout(10_000),
      });
      const { samples } = parseExposition(await response.text());
      return samples.flatMap(({ name, labels, exemplar }) =>
        name === `${metric}_bucket` && exemplar !== undefined ? [{ ...exemplar, sample: labels }] : [],
      );
    },
    async status() {
      const response = await fetch(`${ready.ops}/status`, { signal: AbortSignal.timeout(10_000) });
      return (await response.json()) as Status;
    },
    processes: () => descendants(pid),
  };
}

/** What a process of the shop holds at a moment. */
export interface Resources {
  /** `primary`, or the worker's place number. */
  process: string;
  memoryBytes: number;
  /** Open files and connections. */
  descriptors: number;
}

/** Reads the resources of the primary and its workers from `/proc`. The database's processes are left out. */
export async function readResources(shop: RunningCluster): Promise<Resources[]> {
  const { primary, workers } = await shop.status();
  const processes: [string, number | null][] = [
    ['primary', primary.pid],
    ...workers.map(({ worker, pid }): [string, number | null] => [String(worker), pid]),
  ];
  return Promise.all(
    processes.map(async ([name, pid]) => {
      const status = await readFile(`/proc/${pid}/status`, 'utf8');
      return {
        process: name,
        memoryBytes: Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024,
        descriptors: (await readdir(`/proc/${pid}/fd`)).length,
      };
    }),
  );
}

/**
 * Requests `/livez` over new connections until every worker has answered. The system chooses the worker that accepts a
 * connection.
 *
 * @returns the number of requests that it took
 */
export async function askEveryWorker(shop: Pick<RunningCluster, 'shopUrl' | 'metrics' | 'status'>): Promise<number> {
  const places = (await shop.status()).workers.map(({ worker }) => worker);
  const answered = async (place: number) =>
    (await shop.metrics(`?worker=${place}`)).of('http_request_duration_seconds_count', { route: '/livez' });
  const silent = new Map<number, number>();
  for (const place of places) silent.set(place, await answered(place));
  let requests = 0;
  await until('every worker has answered', async () => {
    // All at once: one worker would accept most of those that come one after the other.
    await Promise.all(places.map(() => fetch(`${shop.shopUrl}/livez`, { headers: { connection: 'close' } })));
    requests += places.length;
    for (const [place, before] of silent) if ((await answered(place)) > before) silent.delete(place);
    return silent.size === 0;
  });
  return requests;
}

/** The folder of the stores of this primary's workers. */
export function storeFolder(pid: number): string {
  for (const parent of ['/dev/shm', tmpdir()]) {
    const name = readdirSync(parent).find((entry) => entry.startsWith(`fake_shop-${pid}-`));
    if (name !== undefined) return join(parent, name);
  }
  throw new Error(`the primary ${pid} has no folder for its stores`);
}

/** Starts the built shop as a child process that inherits no settings from this process. */
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

function readyLine(output: string): { shop: string; ops: string } | undefined {
  const line = output.split('\n').find((candidate) => candidate.includes('"shopUrl"'));
  if (line === undefined) return undefined;
  const { shopUrl, opsUrl } = JSON.parse(line) as { shopUrl: string; opsUrl: string };
  return { shop: shopUrl, ops: opsUrl };
}
