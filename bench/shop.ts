import { spawn } from 'node:child_process';
import { mkdtemp, open, readFile, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ReleaseStack } from '../src/cluster/release.ts';
import type { DatabaseConnection } from '../src/config.ts';
import { findRunningPostgres } from '../src/db/index.ts';
import type { Status } from '../src/ops/status.ts';
import { projectRoot } from '../src/paths.ts';
import { ended } from './program.ts';

export interface BenchShop {
  origin: string;
  opsOrigin: string;
  dataDir: string;
  /** Pids of the workers. */
  workers(): Promise<number[]>;
  /** Pid of the primary. */
  primary(): Promise<number>;
  database(): Promise<DatabaseConnection>;
  /** Empties its log, so that it does not fill the disk. */
  emptyLog(): Promise<void>;
  stop(): Promise<void>;
}

export interface BenchShopOptions {
  workers: number;
  /** Default: a new folder, and so a new database. */
  dataDir?: string;
  /** The project to start; default: this one. */
  folder?: string;
  /** Default: the built program. */
  command?: readonly [program: string, ...args: string[]];
  /** More variables for it. */
  env?: Readonly<Record<string, string>>;
}

const READY_DEADLINE_MS = 60_000;
const POLL_MS = 10;

/**
 * Starts a shop with its own embedded PostgreSQL on free ports of 127.0.0.1, without a limit for form posts, and waits
 * until it is ready. It logs at its default level into a file.
 *
 * @param parent for its folder, if it has no `dataDir`
 */
export async function startShop(
  parent: string,
  resources: ReleaseStack,
  options: BenchShopOptions,
): Promise<BenchShop> {
  const { folder = projectRoot, command = [process.execPath, '--enable-source-maps', 'dist/src/main.js'] } = options;
  const dataDir = options.dataDir ?? (await mkdtemp(join(parent, 'shop-')));
  const logFile = `${dataDir}.log`;
  const log = await open(logFile, 'a');
  await truncate(logFile);
  const [program, ...args] = command;
  const child = spawn(program, args, {
    cwd: folder,
    // In its own process group: Ctrl-C reaches the benchmark alone, which ends everything in order.
    detached: true,
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      HOST: '127.0.0.1',
      PORT: '0',
      METRICS_PORT: '0',
      WORKERS: String(options.workers),
      DATA_DIR: dataDir,
      RATE_LIMIT: 'off',
      ...options.env,
    },
    stdio: ['ignore', log.fd, log.fd],
  });
  await log.close();

  async function stop(): Promise<void> {
    child.kill('SIGTERM');
    await ended(child);
  }
  resources.add(child, stop);

  const { shopUrl, opsUrl } = await readyLine();

  async function readyLine(): Promise<{ shopUrl: string; opsUrl: string }> {
    const deadlineMs = performance.now() + READY_DEADLINE_MS;
    for (;;) {
      const output = await readFile(logFile, 'utf8');
      const line = output.split('\n').find((candidate) => candidate.includes('"shopUrl"'));
      if (line !== undefined) return JSON.parse(line) as { shopUrl: string; opsUrl: string };
      if (child.exitCode !== null || performance.now() > deadlineMs)
        throw new Error(`The shop is not ready:\n${output}`);
      await sleep(POLL_MS);
    }
  }

  async function status(): Promise<Status> {
    const response = await fetch(`${opsUrl}/status`);
    return (await response.json()) as Status;
  }

  return {
    origin: shopUrl,
    opsOrigin: opsUrl,
    dataDir,
    workers: async () => (await status()).workers.map(({ pid }) => pid as number),
    primary: async () => (await status()).primary.pid,
    async database() {
      const connection = await findRunningPostgres(dataDir);
      if (!connection) throw new Error(`No database runs in ${dataDir}`);
      return connection;
    },
    emptyLog: () => truncate(logFile),
    stop,
  };
}
