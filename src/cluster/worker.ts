import { Worker as Thread } from 'node:worker_threads';
import { openStore, WorkerRegistry } from '@techcommerce/cluster-metrics';
import type { Knex } from 'knex';
import { type Config, readConfig } from '../config.ts';
import { applicationName, connect, isDatabaseFailure } from '../db/index.ts';
import { DRAIN_MS } from '../deadlines.ts';
import { listen } from '../http/server.ts';
import { watchDiskSpace } from '../instrument/disk-space.ts';
import { instrumentKnex } from '../instrument/knex.ts';
import { keepDefaultMetrics, sampleProcess } from '../instrument/process.ts';
import { createWorkerMetrics } from '../instrument/worker-metrics.ts';
import { createLog, type Logger, logFatal } from '../log.ts';
import { openPaymentProvider } from '../payments/simulated.ts';
import { StartError } from '../start-error.ts';
import { createApp, createRateLimiter, loadTemplates, shopRoutes } from '../web/index.ts';
import { type Assignment, type PrimaryMessage, readAssignment, type WorkerMessage, workerName } from './messages.ts';
import { type ReleaseStack, releaseStack } from './release.ts';

const HEARTBEAT_MS = 1_000;

/** A worker's whole life: serves the shop until it is told to go. It ends by itself when the primary has ended. */
export async function runWorker(environment: NodeJS.ProcessEnv): Promise<void> {
  const config = readConfig(environment);
  const assignment = readAssignment(environment);
  const log = createLog(config, String(assignment.place));
  const resources = releaseStack((error) => log.error({ err: error }, 'a resource failed to close'));

  function crash(error: unknown): void {
    logFatal(log, 'uncaught: this worker ends', error);
    process.exit(1);
  }
  process.on('uncaughtException', crash);
  process.on('unhandledRejection', crash);

  let ready = true;

  async function stop(): Promise<void> {
    ready = false;
    tell({ type: 'draining' });
    await resources.release();
    process.exit(0);
  }
  // Ctrl-C and a closed terminal reach the whole process group, but the primary decides when its workers stop.
  process.on('SIGINT', () => {});
  process.on('SIGHUP', () => {});
  process.once('SIGTERM', stop);
  process.on('message', (message: PrimaryMessage | null) => {
    if (message?.type === 'unready') ready = false;
    if (message?.type === 'drain') void stop();
  });

  endWithParent();
  setInterval(tell, HEARTBEAT_MS, { type: 'alive' }).unref();

  try {
    tell({ type: 'serving', port: await startWorker(config, assignment, log, resources, () => ready) });
  } catch (error) {
    // The primary logs it once for all workers.
    const final = error instanceof StartError;
    if (!final) logFatal(log, 'this worker failed to start', error);
    await resources.release();
    const reason = error instanceof Error ? error.message : String(error);
    tell({ type: 'failed', reason, final }, () => process.exit(1));
  }
}

/** @returns the port that it listens on */
async function startWorker(
  config: Config,
  assignment: Assignment,
  log: Logger,
  resources: ReleaseStack,
  ready: () => boolean,
): Promise<number> {
  const worker = String(assignment.place);
  const { poolMax } = config.database;
  const { rateLimit } = config.shop;
  if (!config.database.connection || !config.shop.sessionKeys) {
    throw new Error('The primary hands every worker a database and session keys');
  }
  const onProblem = (error: Error) =>
    log.error({ err: error }, 'the metrics cannot be written to their file: they stay in memory');
  // Closed after the database: an order may still be committed after its client has hung up, and is counted.
  const store = resources.add(openStore({ directory: assignment.storeDirectory, worker, onProblem }), (open) =>
    open.close(),
  );
  const database = resources.add(
    connect(config.database.connection, {
      poolMax,
      applicationName: applicationName(`worker ${worker}`, process.ppid),
      log,
    }),
    (knex) => knex.destroy(),
  );
  const payments = resources.add(openPaymentProvider(config.database.connection, log), (open) => open.close());
  const products = await findProducts(database, log);

  const registry = new WorkerRegistry(store);
  resources.add(keepDefaultMetrics(registry, log), (stopCollecting) => stopCollecting());
  const metrics = createWorkerMetrics(registry, { worker, products, routes: shopRoutes, poolMax });
  resources.add(sampleProcess(metrics.cpuUsage, worker), (sampler) => sampler.stop());
  resources.add(instrumentKnex(database, metrics), (stopInstrumenting) => stopInstrumenting());
  const diskSpace = resources.add(watchDiskSpace(database, metrics, log), (watch) => watch.stop());

  const app = createApp(
    {
      database,
      metrics,
      log,
      worker: workerName(assignment.instance, process.pid),
      payments,
      reports: {
        orderCounted: (reference) => tell({ type: 'order_counted', reference }),
        paymentSettled: (reference) => tell({ type: 'payment_settled', reference }),
      },
      diskSpace,
      templates: loadTemplates(),
      sessionKeys: config.shop.sessionKeys,
      rateLimiter: rateLimit === null ? null : createRateLimiter({ database, posts: rateLimit, log }),
      metricsEndpoint: config.shop.metricsOnShopPort ? new URL(assignment.metricsUrl) : null,
      ready,
    },
    { trustProxy: config.shop.trustProxy, readyWithoutDatabase: config.readyWithoutDatabase },
  );
  const { keepAliveSeconds } = config;
  const server = resources.add(
    await listen(app.callback(), { ...config.shop, shared: config.workers > 1, keepAliveSeconds }),
    (open) => open.drain(DRAIN_MS),
  );
  return server.port;
}

/**
 * Slugs of the catalogue; none while the database is away. A worker takes its place then too, to answer that the shop
 * is coming back, and its predecessors have declared the series.
 */
async function findProducts(database: Knex, log: Logger): Promise<string[]> {
  try {
    return await database('products').orderBy('id').pluck<string[]>('slug');
  } catch (error) {
    if (!isDatabaseFailure(error)) throw error;
    log.warn({ err: error }, 'the database does not answer: this worker serves without it');
    return [];
  }
}

/** @param sent called when the message is on its way; without the primary this process ends anyway */
function tell(message: WorkerMessage, sent?: () => void): void {
  if (process.connected) process.send?.(message, undefined, undefined, sent);
}

const PARENT_CHECK_MS = 500;

/** Runs in a thread of its own, because the main thread may be in an endless loop. */
const PARENT_WATCH = `
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) process.kill(process.pid, 'SIGKILL');
  }, ${PARENT_CHECK_MS});
`;

/**
 * Ends this process when its parent has ended. Node.js does so too, when it sees the channel to the primary close, but
 * a worker in an endless loop sees nothing.
 */
function endWithParent(): void {
  new Thread(PARENT_WATCH, {
    eval: true,
    execArgv: [],
    stdout: false,
    resourceLimits: { maxYoungGenerationSizeMb: 2 },
  }).unref();
}
