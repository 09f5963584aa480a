import { Counter, Gauge, type WorkerRegistry } from '@techcommerce/cluster-metrics';
import type { Knex } from 'knex';
import type { BuildInfo } from '../build-info.ts';
import type { Logger } from '../log.ts';
import { sampleDatabase } from './database-state.ts';
import { errorCounter } from './errors.ts';
import { sampleHostCpu } from './host-cpu.ts';
import { orderCounter } from './orders.ts';
import { cpuUsageGauge, sampleProcess } from './process.ts';

/** What a worker is doing, label `state` of `shop_workers`. */
export const WORKER_STATES = ['starting', 'serving', 'draining', 'down'] as const;
export type WorkerState = (typeof WORKER_STATES)[number];

export interface PrimaryMetricsOptions<Reason extends string> {
  /** The primary's own pool, small: a sample runs two queries. */
  database: Knex;
  log: Logger;
  /** What runs, for `shop_build_info`. */
  build: BuildInfo;
  /** Closed list of why a worker is replaced. */
  restartReasons: readonly Reason[];
  /** The places of the cluster as they are now; asked whenever the registry is sampled. */
  workers(): Iterable<{ readonly state: WorkerState }>;
}

export interface PrimaryMetrics<Reason extends string> {
  /** A worker was replaced. */
  workerRestarted(reason: Reason): void;
  /** A worker ended without being told to. */
  workerCrashed(): void;
  /** An attempt to order failed with its worker. */
  orderFailed(): void;
  /** Whether the database answered the last sample in time. */
  databaseUp(): boolean;
  /** Stops all sampling; resolves when the last query has ended. */
  stop(): Promise<void>;
}

/**
 * Makes the metrics that the primary itself keeps, and samples the machine and the database from now on.
 *
 * @returns when the first sample is taken, so that the first scrape tells the truth
 */
export async function createPrimaryMetrics<Reason extends string>(
  registry: WorkerRegistry,
  { database, log, build, restartReasons, workers }: PrimaryMetricsOptions<Reason>,
): Promise<PrimaryMetrics<Reason>> {
  const registers = [registry];
  new Gauge({
    name: 'shop_build_info',
    help: 'Always 1; the labels tell which version of the shop runs, built from which git commit, on which Node.js',
    labelNames: ['version', 'revision', 'node'],
    registers,
  }).set({ version: build.version, revision: build.revision, node: process.versions.node }, 1);

  const workersByState = new Gauge({
    name: 'shop_workers',
    help: 'Worker places of this instance by state: starting, serving, draining, down',
    labelNames: ['state'],
    registers,
    collect() {
      const states = Array.from(workers(), ({ state }) => state);
      for (const state of WORKER_STATES) {
        workersByState.set({ state }, states.filter((current) => current === state).length);
      }
    },
  });

  const restarts = new Counter({
    name: 'shop_worker_restarts_total',
    help: 'Workers that were replaced, by the reason',
    labelNames: ['reason'],
    registers,
  });
  for (const reason of restartReasons) restarts.zero({ reason });

  const errors = errorCounter(registry);
  const crash = { type: 'worker_crash', route: 'none' };
  errors.zero(crash);

  const orders = orderCounter(registry);
  orders.zero({ outcome: 'failed' });

  const hostCpuUsage = new Gauge({
    name: 'shop_host_cpu_usage_ratio',
    help: 'Part of the cores of the whole machine that was busy over the last second, 0 to 1, with everything that runs on it; NaN until it is known',
    registers,
  });

  const databaseState = sampleDatabase(registry, database, log);
  const samplers = [databaseState, sampleProcess(cpuUsageGauge(registry), 'primary'), sampleHostCpu(hostCpuUsage)];
  await Promise.all(samplers.map(({ first }) => first));

  return {
    workerRestarted: (reason) => restarts.inc({ reason }),
    workerCrashed: () => errors.inc(crash),
    orderFailed: () => orders.inc({ outcome: 'failed' }),
    databaseUp: databaseState.up,
    async stop() {
      await Promise.all(samplers.map((sampler) => sampler.stop()));
    },
  };
}
