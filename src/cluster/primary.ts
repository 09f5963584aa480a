import cluster, { type Worker } from 'node:cluster';
import { randomUUID } from 'node:crypto';
import { relative } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ClusterRegistry, createStoreDirectory, WorkerRegistry } from '@techcommerce/cluster-metrics';
import { readBuildInfo } from '../build-info.ts';
import { type Config, type DatabaseConnection, databaseEnvironment, hostInUrl, readConfig } from '../config.ts';
import {
  applicationName,
  connect,
  type EmbeddedPostgres,
  FolderInUseError,
  PRIMARY,
  prepareDatabase,
  startCleanup,
  startEmbeddedPostgres,
} from '../db/index.ts';
import { DRAIN_KILL_MS, SAMPLE_DATABASE } from '../deadlines.ts';
import type { Answer } from '../debug/questions.ts';
import type { ActorsOptions } from '../faults/actors.ts';
import type { Faults, FaultsOptions } from '../faults/primary.ts';
import { listen } from '../http/server.ts';
import { createPrimaryMetrics } from '../instrument/primary-metrics.ts';
import { keepDefaultMetrics } from '../instrument/process.ts';
import { createLog, type Logger, logFatal } from '../log.ts';
import { createOpsApp } from '../ops/app.ts';
import { type LastScrape, watchScrapes } from '../ops/last-scrape.ts';
import { createLive, type Live } from '../ops/live/live.ts';
import type { Status } from '../ops/status.ts';
import { settleAbandonedPayments } from '../payments/settle.ts';
import { openPaymentProvider, PROVIDER_POOL_MAX } from '../payments/simulated.ts';
import { withProgress } from '../promises.ts';
import { StartError } from '../start-error.ts';
import { checkAddresses, otherAddresses } from './addresses.ts';
import { enterInstance } from './instances.ts';
import { instanceOf, type WorkerMessage, workerName, writeAssignment } from './messages.ts';
import { type ReleaseStack, releaseStack } from './release.ts';
import { keptSessionKeys } from './session-keys.ts';
import { handleSignals } from './signals.ts';
import { createPlaces, createSupervisor, type Supervisor, statusOf } from './supervisor.ts';
import { WORKER_STDIO, workerExecArgv } from './worker-process.ts';

const SECOND = 1000;

/** After an uncaught error everything is stopped by then, unless the error prevents it. */
const CRASH_DEADLINE_MS = 20 * SECOND;
/**
 * A balancer needs notice before the workers stop listening: a connection that arrives in that moment is reset, and no
 * balancer may send a form a second time. The shipped HAProxy looks elsewhere after 0.6 s; the rest is for a busy machine.
 */
const LEAST_NOTICE_MS = 2 * SECOND;
const OPS_DRAIN_DEADLINE_MS = 1 * SECOND;
/**
 * The database sampler uses two at a time. The others are for the size of the database, the live page (products, waits for
 * locks), the cleanup, the list of instances and the settlement of payments.
 */
const PRIMARY_POOL_MAX = 4;

/**
 * The primary's whole life: starts everything in order, waits for a signal, releases in reverse.
 *
 * @throws {ConfigError} when the environment has mistakes; nothing was started then
 */
export async function runPrimary(environment: NodeJS.ProcessEnv): Promise<void> {
  const config = readConfig(environment);
  const log = createLog(config, 'primary');
  for (const warning of config.warnings) log.warn(warning);
  const resources = releaseStack((error) => log.error({ err: error }, 'a resource failed to close'));
  /** Null until the workers are started. */
  let supervisor: Supervisor | null = null;
  let lastScrape: LastScrape | null = null;
  let live: Live | null = null;
  let stopping = false;
  let crashed = false;

  async function stop(exitCode: number): Promise<void> {
    stopping = true;
    await withProgress(log, 'everything to end', resources.release());
    const kept = config.database.connection
      ? 'all processes of the shop have ended'
      : `the data is kept in ${config.dataDir}`;
    if (exitCode === 0 && !crashed) log.info(`stopped: ${kept}`);
    process.exit(crashed ? 1 : exitCode);
  }

  /** Stops in order. Later errors may be consequences of the first. */
  function crash(error: unknown): void {
    if (crashed) {
      log.error({ err: error }, 'uncaught, while the shop stops');
      return;
    }
    crashed = true;
    logFatal(log, 'uncaught: the shop stops', error);
    setTimeout(() => {
      supervisor?.kill();
      process.exit(1);
    }, CRASH_DEADLINE_MS);
    void stop(1);
  }
  process.on('uncaughtException', crash);
  process.on('unhandledRejection', crash);

  handleSignals({
    async stop(signal) {
      stopping = true;
      if (supervisor) log.info({ signal }, 'stopping: requests in flight finish first; a second signal exits at once');
      else log.info({ signal }, 'stopping before the shop is ready');
      supervisor?.unready();
      // No delay for Ctrl-C: a person pressed it. None during the start either: no balancer sends requests yet.
      if (supervisor && signal !== 'SIGINT') {
        await delay(Math.max(config.drainDelaySeconds * SECOND, LEAST_NOTICE_MS));
        await supervisor.stop();
        await lastScrape?.wait();
      }
      await stop(0);
    },
    abandon() {
      log.warn('stopped at once: requests in flight were cut');
      supervisor?.kill();
    },
    reload() {
      if (!supervisor || stopping) return;
      log.info('reloading: the workers are replaced one after the other');
      live?.mark('reload', '');
      supervisor.reload().then(
        () => log.info('reloaded'),
        (error: unknown) => log.error({ err: error }, 'the reload ended early'),
      );
    },
  });

  try {
    const primary = await startPrimary(config, log, resources);
    if (stopping) return;
    supervisor = primary.supervisor;
    lastScrape = primary.lastScrape;
    live = primary.live;
    const port = await withProgress(log, 'the workers to serve', supervisor.start());
    announce(primary.opsUrl, urlOf(config.shop.host, port, 'localhost'), log);
  } catch (error) {
    // The start fails when a signal releases its resources.
    if (stopping) return;
    const reason = error instanceof Error ? error.message : 'the shop failed to start';
    logFatal(log, reason, error instanceof StartError ? undefined : error);
    await stop(1);
  }
}

/** Everything but the workers, which the supervisor starts. */
async function startPrimary(
  config: Config,
  log: Logger,
  resources: ReleaseStack,
): Promise<{ supervisor: Supervisor; lastScrape: LastScrape; live: Live; opsUrl: string }> {
  const startedAt = new Date().toISOString();
  const build = readBuildInfo();
  const instance = randomUUID();
  // First, because its error explains what to do about a folder of another user.
  const { connection, embedded } = await provideDatabase(config, log, resources, async function beginStart() {
    await checkAddresses(config);
    log.info({ ...build, node: process.versions.node }, 'Fake Shop starts');
  });
  const sessionKeys = config.shop.sessionKeys ?? (await keptSessionKeys(config.dataDir));
  const connections =
    config.workers * (config.database.poolMax + PROVIDER_POOL_MAX) + PRIMARY_POOL_MAX + PROVIDER_POOL_MAX;
  await prepareDatabase(connection, { log, connections });
  const database = resources.add(
    connect(connection, {
      poolMax: PRIMARY_POOL_MAX,
      applicationName: applicationName(PRIMARY),
      log,
      deadlines: SAMPLE_DATABASE,
    }),
    (knex) => knex.destroy(),
  );
  resources.add(startCleanup(database, log), (stopCleanup) => stopCleanup());
  resources.add(await enterInstance(database, { sessionKeys, log }), (leave) => leave());

  const places = createPlaces(config.workers);
  const workers = () => statusOf(places);

  const onUnusable = (error: Error) =>
    log.warn({ err: error }, 'a folder for the metrics could not be used or removed');
  const stores = resources.add(createStoreDirectory({ name: 'fake_shop', onProblem: onUnusable }), (folder) =>
    folder.remove(),
  );
  const registry = new WorkerRegistry();
  resources.add(keepDefaultMetrics(registry, log), (stopCollecting) => stopCollecting());
  const metrics = resources.add(await createPrimaryMetrics(registry, { database, log, build, workers }), (open) =>
    open.stop(),
  );
  const clusterRegistry = resources.add(
    new ClusterRegistry({
      directory: stores.path,
      registers: [registry],
      prefix: 'shop_metrics_',
      onProblem: (problem) => log.error({ problem }, 'a metrics file has a problem; the field problem names it'),
    }),
    (open) => open.close(),
  );

  const payments = resources.add(openPaymentProvider(connection, log, SAMPLE_DATABASE), (open) => open.close());
  const abandonedPayments = resources.add(
    settleAbandonedPayments({
      database,
      payments,
      log,
      onFailedOrder: metrics.orderFailed,
      stateOf(worker) {
        if (instanceOf(worker) !== instance) return 'foreign';
        return workers().some(({ pid }) => pid !== null && workerName(instance, pid) === worker) ? 'alive' : 'dead';
      },
    }),
    (settling) => settling.stop(),
  );
  const onWorkerMessage = (_worker: Worker, message: WorkerMessage) => {
    if (message.type === 'order_counted') abandonedPayments.orderCounted(message.reference);
    if (message.type === 'payment_settled') abandonedPayments.paymentSettled(message.reference);
  };
  cluster.on('message', onWorkerMessage);
  resources.add(onWorkerMessage, () => cluster.off('message', onWorkerMessage));

  const status = (): Status => ({
    primary: { pid: process.pid, startedAt, version: build.version },
    workers: workers(),
    database: { embedded: embedded !== null, up: metrics.databaseUp() },
  });
  let supervisor: Supervisor | null = null;
  const faults = config.faults
    ? await allowFaults({ connection, embedded, log }, resources, {
        tell: (left) => supervisor?.rehearse(left),
        mark: (kind, name) => live.mark(kind, name),
      })
    : null;
  const live = createLive({
    registry: clusterRegistry,
    database,
    status,
    faults,
    log,
    shopUrl: () => urlOf(config.shop.host, supervisor?.port ?? config.shop.port, 'localhost'),
  });
  const lastScrape = watchScrapes(config.lastScrapeSeconds, log);
  const ops = createOpsApp({
    log,
    token: config.metrics.token,
    readyWithoutDatabase: config.readyWithoutDatabase,
    registry: clusterRegistry,
    lastScrape,
    live,
    status,
    faults,
    ask: async (place, question) => supervisor?.ask(place, question) ?? NOT_STARTED,
  });
  const { keepAliveSeconds } = config;
  const opsServer = resources.add(
    await listen(ops.callback(), { ...config.metrics, keepAliveSeconds, refuseForeignHosts: true }),
    (server) => server.drain(OPS_DRAIN_DEADLINE_MS),
  );
  // Released before the server, whose drain would wait for the streams.
  resources.add(live, (open) => open.close());
  const opsUrl = urlOf(config.metrics.host, opsServer.port, 'localhost');
  const metricsUrl = `${urlOf(config.metrics.host, opsServer.port, '127.0.0.1')}/metrics`;

  // Workers accept connections themselves. A connection that the primary hands to a dying worker would never be answered
  // nor closed; and when many come at once, they would wait twice as long in the primary's queue.
  cluster.schedulingPolicy = cluster.SCHED_NONE;
  cluster.setupPrimary({
    execArgv: workerExecArgv(process.execArgv, process.env.NODE_OPTIONS),
    stdio: [...WORKER_STDIO],
  });
  supervisor = createSupervisor(places, {
    hangSeconds: config.hangSeconds,
    drainDeadlineMs: DRAIN_KILL_MS,
    log,
    environment: (place) => ({
      ...writeAssignment({ place, instance, storeDirectory: stores.path, metricsUrl }),
      ...databaseEnvironment(connection),
      SESSION_KEYS: sessionKeys.join(','),
    }),
    onServing: () => faults?.tellWorkers(),
    onRestart(reason, place) {
      metrics.workerRestarted(reason);
      // A reload replaces all workers, and has a mark of its own.
      if (reason !== 'reload') live.mark('restart', `${place}, ${reason}`);
    },
    onCrash: metrics.workerCrashed,
    onEnd: (pid) => abandonedPayments.workerDied(workerName(instance, pid)),
  });
  return { supervisor: resources.add(supervisor, (running) => running.stop()), lastScrape, live, opsUrl };
}

/** Rehearsed faults. Their code is loaded only where the environment allows them. */
async function allowFaults(
  options: ActorsOptions,
  resources: ReleaseStack,
  shop: Pick<FaultsOptions, 'tell' | 'mark'>,
): Promise<Faults> {
  options.log.warn('FAULTS=true: anyone who reaches the live page can harm this shop, with rehearsed faults');
  const { createFaults } = await import('../faults/primary.ts');
  const { createActors } = await import('../faults/actors.ts');
  return resources.add(createFaults({ actors: createActors(options), log: options.log, ...shop }), (faults) =>
    faults.stop(),
  );
}

const NOT_STARTED: Answer = { ok: false, why: 'gone', reason: 'the workers are not started yet' };

/**
 * The database that the environment names, or our own.
 *
 * @param beginStart ends a start that can't succeed, before anything is changed
 */
async function provideDatabase(
  config: Config,
  log: Logger,
  resources: ReleaseStack,
  beginStart: () => Promise<void>,
): Promise<{ connection: DatabaseConnection; embedded: EmbeddedPostgres | null }> {
  if (config.database.connection) {
    await beginStart();
    return { connection: config.database.connection, embedded: null };
  }
  const ofProvider = (config.workers + 1) * PROVIDER_POOL_MAX;
  const max_connections = String(config.database.embeddedConnections + ofProvider);
  const starting = startEmbeddedPostgres({
    dataDir: config.dataDir,
    log,
    settings: { max_connections },
    whenClaimed: beginStart,
  });
  try {
    const embedded = resources.add(await withProgress(log, 'the embedded PostgreSQL', starting), (open) => open.stop());
    return { connection: embedded.connection, embedded };
  } catch (error) {
    if (!(error instanceof FolderInUseError)) throw error;
    const folder = relative('', `${config.dataDir}2`);
    const others = [
      `DATA_DIR=${/^[\w./-]+$/.test(folder) ? folder : `'${folder}'`}`,
      ...(await otherAddresses(config)),
    ];
    throw new StartError(`${error.message} To start this one beside it: ${others.join(' ')} npm start`, {
      cause: error,
    });
  }
}

function announce(opsUrl: string, shopUrl: string, log: Logger): void {
  if (process.stdout.isTTY) {
    process.stdout.write(`
  Fake Shop is ready.
    the shop        ${shopUrl}
    the live page   ${opsUrl}
    its metrics     ${opsUrl}/metrics
    to stop it      Ctrl-C

`);
  } else {
    // At every LOG_LEVEL: the program that starts the shop waits for this line.
    const loud = log.child({}, { level: 'info' });
    loud.info(
      { shopUrl, opsUrl },
      `Fake Shop is ready: ${shopUrl}, live page at ${opsUrl}, metrics at ${opsUrl}/metrics, SIGTERM stops it`,
    );
  }
}

/** @param everywhere the name to use for this machine when the server listens on all of its addresses */
function urlOf(host: string, port: number, everywhere: string): string {
  const name = host === '0.0.0.0' || host === '::' ? everywhere : host;
  return `http://${hostInUrl(name)}:${port}`;
}
