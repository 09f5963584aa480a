import { mkdtemp, open, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ReleaseStack } from '../src/cluster/release.ts';
import { startCpuTimer } from './processes.ts';
import { type Program, startProgram } from './program.ts';
import type { Load, LoadRequest, LoadResult } from './programs/load.ts';
import { buildRevision } from './revision.ts';
import { type BenchShop, type BenchShopOptions, startShop } from './shop.ts';
import { interleave, ratioSpread, type Spread, spreadOf } from './statistics.ts';

/** How much is measured. */
export interface Effort {
  warmUpSeconds: number;
  rounds: number;
  /** Of each measurement. */
  seconds: number;
  /** How often both sides are started anew, where that is part of the measurement. */
  pairs: number;
  /** Of each measurement of writes. */
  orders: number;
  /** A worker's memory is read after so many requests, or after so many seconds if these are over first. */
  browsing: { requests: number; seconds: number };
  /** First starts, and as many later ones. */
  starts: number;
}

/** What the parts of the benchmark have in common. */
export interface Bench {
  effort: Effort;
  /** Shops, programs and folders; released in reverse order. */
  resources: ReleaseStack;
  /** A temporary folder. */
  folder: string;
  startShop(options: BenchShopOptions): Promise<BenchShop>;
  /** The shop of this revision with one worker, which several parts use. */
  shop(): Promise<BenchShop>;
  /** The same of an earlier revision. */
  earlierShop(): Promise<BenchShop>;
  earlierRevision: string;
  /**
   * A program whose output goes to a log file.
   *
   * @param execArgv more flags for Node.js
   */
  startProgram<Question, Answer>(name: string, execArgv?: readonly string[]): Program<Question, Answer>;
  /** @throws when an answer has another status than `status`, by default 200 */
  load(load: Load, status?: number): Promise<LoadResult>;
  /** Loads a server that is new until its code is compiled. */
  warmUp(side: Side): Promise<void>;
  /** The rounds, and the seconds of each measurement, are those of `effort` by default. */
  compare(base: Side, measured: Side, options?: { rounds?: number; seconds?: number }): Promise<Comparison>;
}

/** A server under load. */
export interface Side {
  origin: string;
  /** The processes that serve. */
  pids: readonly number[];
  requests: readonly LoadRequest[];
  /** Of the load; default 10. */
  connections?: number;
  /** Starts what runs beside the load. @returns its end */
  beside?: () => () => Promise<void>;
}

/** What one side did in each round. */
export interface Measurement {
  requestsPerSecond: Spread;
  /** Of the serving processes, microseconds a request. */
  cpuMicros: Spread;
  p99Ms: Spread;
  p999Ms: Spread;
}

export interface Comparison {
  base: Measurement;
  measured: Measurement;
  /** Measured to base, of each round: their spread. */
  ratio: {
    requestsPerSecond: Spread;
    /** Requests a second of processor time. */
    requestsPerCpuSecond: Spread;
    p99: Spread;
    p999: Spread;
  };
  /** Microseconds a request that the measured side needs more, of each round. */
  moreCpuMicros: Spread;
}

interface Sample {
  requestsPerSecond: number;
  cpuMicros: number;
  p99Ms: number;
  p999Ms: number;
}

/** Fewer than a worker serves at a time before it refuses any. */
export const CONNECTIONS = 10;

export async function createBench(effort: Effort, earlierRevision: string, resources: ReleaseStack): Promise<Bench> {
  const folder = resources.add(await mkdtemp(join(tmpdir(), 'fake-shop-bench-')), (made) =>
    rm(made, { recursive: true, force: true, maxRetries: 5 }),
  );
  const logFile = join(folder, 'programs.log');
  const log = resources.add(await open(logFile, 'a'), (opened) => opened.close());
  const loader = startProgram<Load, LoadResult>('load', resources);
  const shops: BenchShop[] = [];
  let shared: Promise<BenchShop> | undefined;
  let earlier: Promise<BenchShop> | undefined;

  async function start(options: BenchShopOptions): Promise<BenchShop> {
    const shop = await startShop(folder, resources, options);
    shops.push(shop);
    return shop;
  }

  async function startEarlier(): Promise<BenchShop> {
    return start({ workers: 1, folder: await buildRevision(earlierRevision, folder, resources) });
  }

  async function load(wanted: Load, status = 200): Promise<LoadResult> {
    const result = await loader.ask(wanted);
    const others = Object.entries(result.statuses).filter(([other]) => Number(other) !== status);
    if (others.length > 0 || result.failures > 0 || !result.statuses[status]) {
      const paths = [...new Set(wanted.requests.map(({ path }) => path))].slice(0, 5).join(', ');
      throw new Error(
        `Load on ${paths}: expected answers ${status}, got ${JSON.stringify(result.statuses)} and ${result.failures} failures`,
      );
    }
    await Promise.all([truncate(logFile), ...shops.map((shop) => shop.emptyLog())]);
    return result;
  }

  async function warmUp({ origin, requests, connections = CONNECTIONS }: Side): Promise<void> {
    await load({ origin, requests, connections, length: { seconds: effort.warmUpSeconds } });
  }

  async function measure(side: Side, seconds: number): Promise<Sample> {
    const { origin, pids, requests, connections = CONNECTIONS, beside } = side;
    const end = beside?.();
    const cpuTimer = await startCpuTimer(pids);
    const result = await load({ origin, requests, connections, length: { seconds } });
    const used = await cpuTimer();
    await end?.();
    const count = result.statuses[200] ?? 0;
    const { p99Ms, p999Ms } = result;
    return { requestsPerSecond: count / result.seconds, cpuMicros: (used / count) * 1e6, p99Ms, p999Ms };
  }

  async function compare(
    base: Side,
    measured: Side,
    { rounds = effort.rounds, seconds = effort.seconds }: { rounds?: number; seconds?: number } = {},
  ): Promise<Comparison> {
    const [bases = [], ours = []] = await interleave([base, measured], rounds, (side) => measure(side, seconds));
    return {
      base: measurementOf(bases),
      measured: measurementOf(ours),
      ratio: {
        requestsPerSecond: ratioSpread(bases, ours, (sample) => sample.requestsPerSecond),
        requestsPerCpuSecond: ratioSpread(bases, ours, (sample) => 1 / sample.cpuMicros),
        p99: ratioSpread(bases, ours, (sample) => sample.p99Ms),
        p999: ratioSpread(bases, ours, (sample) => sample.p999Ms),
      },
      moreCpuMicros: spreadOf(ours.map(({ cpuMicros }, round) => cpuMicros - (bases[round] as Sample).cpuMicros)),
    };
  }

  return {
    effort,
    resources,
    folder,
    startShop: start,
    shop: () => (shared ??= start({ workers: 1 })),
    earlierShop: () => (earlier ??= startEarlier()),
    earlierRevision,
    startProgram: (name, execArgv = []) => startProgram(name, resources, { outputFd: log.fd, execArgv }),
    load,
    warmUp,
    compare,
  };
}

function measurementOf(samples: readonly Sample[]): Measurement {
  return {
    requestsPerSecond: spreadOf(samples.map((sample) => sample.requestsPerSecond)),
    cpuMicros: spreadOf(samples.map((sample) => sample.cpuMicros)),
    p99Ms: spreadOf(samples.map((sample) => sample.p99Ms)),
    p999Ms: spreadOf(samples.map((sample) => sample.p999Ms)),
  };
}
