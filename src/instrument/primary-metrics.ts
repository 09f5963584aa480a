import { Counter, Gauge, type WorkerRegistry } from '@techcommerce/cluster-metrics';
import type { Knex } from 'knex';
import type { BuildInfo } from '../build-info.ts';
import type { Logger } from '../log.ts';
import { sampleDatabase } from './database-sampler.ts';
import { PAYMENT_METHODS, type PaymentMethod, RESTART_REASONS, type RestartReason } from './label-values.ts';
import { cpuUsageGauge, sampleHostCpu, sampleProcess } from './process.ts';
import { errorCounter, orderCounter, paymentCounter } from './worker-metrics.ts';

/** What a worker is doing: label `state` of `shop_workers`, and `state` in `/status`. */
const WORKER_STATES = ['starting', 'serving', 'draining', 'down'] as const;
export type WorkerState = (typeof WORKER_STATES)[number];

export interface PrimaryMetricsOptions {
  /** The primary's own small pool: a sample uses two connections at a time. */
  database: Knex;
  log: Logger;
  /** For `shop_build_info`. */
  build: BuildInfo;
  /** The places of the cluster as they are now; called at every scrape. */
  workers(): Iterable<{ readonly state: WorkerState }>;
}

export interface PrimaryMetrics {
  /** A worker was replaced. */
  workerRestarted(reason: RestartReason): void;
  /** A worker ended by a fault. */
  workerCrashed(): void;
  /** An attempt to order failed with its worker, and so did its payment. */
  orderFailed(method: PaymentMethod): void;
  /** Whether the database answered the last sample in time. */
  databaseUp(): boolean;
  /** Stops all sampling; resolves when the last query has ended. */
  stop(): Promise<void>;
}

/**
 * Makes the metrics that the primary itself keeps, and samples the machine and the database from now on. To add one,
 * define it here.
 *
 * @returns when the first sample is taken, so that the first scrape is right
 */
export async function createPrimaryMetrics(
  registry: WorkerRegistry,
  { database, log, build, workers }: PrimaryMetricsOptions,
): Promise<PrimaryMetrics> {
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
  for (const reason of RESTART_REASONS) restarts.zero({ reason });

  const errors = errorCounter(registry);
  const crash = { type: 'worker_crash', route: 'none' };
  errors.zero(crash);

  const orders = orderCounter(registry);
  const failed = { outcome: 'failed' };
  orders.zero(failed);
  const payments = paymentCounter(registry);
  for (const method of PAYMENT_METHODS) payments.zero({ method, ...failed });

  const hostCpuUsage = new Gauge({
    name: 'shop_host_cpu_usage_ratio',
    help: 'Part of the cores of the whole machine that was busy over the last second, 0 to 1, with everything that runs on it; NaN until it is known',
    registers,
  });

  const databaseSampler = sampleDatabase(registry, database, log);
  const samplers = [databaseSampler, sampleProcess(cpuUsageGauge(registry), 'primary'), sampleHostCpu(hostCpuUsage)];
  await Promise.all(samplers.map(({ first }) => first));

  return {
    workerRestarted: (reason) => restarts.inc({ reason }),
    workerCrashed: () => errors.inc(crash),
    orderFailed(method) {
      orders.inc(failed);
      payments.inc({ method, ...failed });
    },
    databaseUp: databaseSampler.up,
    async stop() {
      await Promise.all(samplers.map((sampler) => sampler.stop()));
    },
  };
}
