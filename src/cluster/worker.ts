import { Worker as Thread } from 'node:worker_threads';
import { openStore, WorkerRegistry } from '@techcommerce/cluster-metrics';
import { type Config, readConfig } from '../config.ts';
import { applicationName, connect } from '../db/index.ts';
import { DRAIN_MS } from '../deadlines.ts';
import type { WorkerFaults } from '../faults/worker.ts';
import { listen } from '../http/server.ts';
import { watchDiskSpace } from '../instrument/disk-space.ts';
import { instrumentKnex } from '../instrument/knex.ts';
import { keepDefaultMetrics, sampleProcess } from '../instrument/process.ts';
import { createWorkerMetrics } from '../instrument/worker-metrics.ts';
import { createLog, type Logger, logFatal } from '../log.ts';
import { openPaymentProvider } from '../payments/simulated.ts';
import { watchCatalogue } from '../shop/catalogue/watch.ts';
import { watchPix } from '../shop/checkout/pix.ts';
import { createCheckoutPlaces } from '../shop/checkout/places.ts';
import { businessRoutes } from '../shop/routes.ts';
import { createVisits } from '../shop/sessions/visits.ts';
import { StartError } from '../start-error.ts';
import { createApp, createRateLimiter, loadTemplates, shopRoutes } from '../web/index.ts';
import { type Assignment, type PrimaryMessage, readAssignment, type WorkerMessage, workerName } from './messages.ts';
import { type ReleaseStack, releaseStack } from './release.ts';

const HEARTBEAT_MS = 1_000;

/** A worker's whole life: serves the shop until it is told to go. It ends by itself when the primary has ended. */
export async function runWorker(environment: NodeJS.ProcessEnv): Promise<void> {
  // First: when the primary has ended, the system gives this process another parent.
  const parent = process.ppid;
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

  setInterval(tell, HEARTBEAT_MS, { type: 'alive' }).unref();

  try {
    tell({ type: 'serving', port: await startWorker(config, assignment, parent, log, resources, () => ready) });
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
  parent: number,
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
      applicationName: applicationName(`worker ${worker}`, parent),
      log,
    }),
    (knex) => knex.destroy(),
  );
  const provider = resources.add(openPaymentProvider(config.database.connection, log), (open) => open.close());
  const faults = config.faults ? await takeFaults(assignment.place, resources) : null;
  const payments = faults?.wrapPayments(provider) ?? provider;

  const registry = new WorkerRegistry(store);
  resources.add(keepDefaultMetrics(registry, log), (stopCollecting) => stopCollecting());
  const metrics = createWorkerMetrics(registry, { worker, routes: shopRoutes, poolMax });
  resources.add(sampleProcess(metrics.cpuUsage, worker), (sampler) => sampler.stop());
  resources.add(instrumentKnex(database, metrics), (stopInstrumenting) => stopInstrumenting());
  const catalogue = resources.add(watchCatalogue(database, metrics, log), (watch) => watch.stop());
  const diskSpace = resources.add(watchDiskSpace(database, metrics, log), (watch) => watch.stop());
  // Here, because the thread needs 50 ms of processor time to start, and this one waits for the database.
  startThread(parent);
  // A worker takes its place without a database too, to answer that the shop is coming back.
  await catalogue.first;

  const visits = resources.add(createVisits(database, log), (open) => open.stop());

  const checkout = {
    database,
    metrics,
    log,
    payments,
    checkouts: createCheckoutPlaces({ poolMax }),
    worker: workerName(assignment.instance, process.pid),
    reports: {
      orderCounted: (reference: string) => tell({ type: 'order_counted', reference }),
      paymentSettled: (reference: string) => tell({ type: 'payment_settled', reference }),
    },
  };
  resources.add(watchPix(checkout), (stopWatching) => stopWatching());

  const app = createApp(
    {
      ...checkout,
      catalogue,
      diskSpace,
      templates: loadTemplates(),
      sessionKeys: config.shop.sessionKeys,
      visits,
      rateLimiter: rateLimit === null ? null : createRateLimiter({ database, posts: rateLimit, log }),
      metricsEndpoint: config.shop.metricsOnShopPort ? new URL(assignment.metricsUrl) : null,
      ready,
    },
    {
      trustProxy: config.shop.trustProxy,
      publicUrl: config.shop.publicUrl,
      readyWithoutDatabase: config.readyWithoutDatabase,
      ...(faults && { routes: faults.wrapRoutes(businessRoutes) }),
    },
  );
  const { keepAliveSeconds } = config;
  const server = resources.add(
    await listen(app.callback(), { ...config.shop, shared: config.workers > 1, keepAliveSeconds }),
    (open) => open.drain(DRAIN_MS),
  );
  return server.port;
}

/** Rehearsed faults, which the primary switches on and off. Their code is loaded only where the environment allows them. */
async function takeFaults(place: number, resources: ReleaseStack): Promise<WorkerFaults> {
  const { createWorkerFaults } = await import('../faults/worker.ts');
  const faults = resources.add(createWorkerFaults(place), (running) => running.stop());
  process.on('message', (message: PrimaryMessage | null) => {
    if (message?.type === 'faults') faults.take(message.left);
  });
  return faults;
}

/** @param sent called when the message is on its way; without the primary this process ends anyway */
function tell(message: WorkerMessage, sent?: () => void): void {
  if (process.connected) process.send?.(message, undefined, undefined, sent);
}

/**
 * Starts the second thread. It ends this process when its parent has ended: Node.js does so too, when it sees the channel to
 * the primary close, but a worker in an endless loop sees nothing. And it answers the primary's questions about this one.
 */
function startThread(parent: number): void {
  const thread = new Thread(new URL('../debug/thread.js', import.meta.url), {
    workerData: parent,
    execArgv: [],
    stdout: false,
    resourceLimits: { maxYoungGenerationSizeMb: 2 },
  });
  thread.unref();
  // Node.js would wait for the end of a profile.
  process.once('exit', () => thread.postMessage('exit'));
}
