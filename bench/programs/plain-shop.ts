/*
 * A worker without a primary, with instrumentation or without. Both forms run this code on the same database, so they
 * differ in nothing else.
 */
import { createStoreDirectory, openStore, WorkerRegistry } from '@techcommerce/cluster-metrics';
import type { DatabaseConnection } from '../../src/config.ts';
import { importBuilt } from '../built.ts';
import { answerParent } from './answer-parent.ts';

export interface PlainShopOptions {
  connection: DatabaseConnection;
  sessionKeys: readonly string[];
  /** Without: no `timeRequests`, no measured queries, and the shop's own counts stay in memory. */
  instrumented: boolean;
}

const POOL_MAX = 10;

const { createApp, loadTemplates, shopRoutes } =
  await importBuilt<typeof import('../../src/web/index.ts')>('web/index.js');
const { connect } = await importBuilt<typeof import('../../src/db/index.ts')>('db/index.js');
const { listen } = await importBuilt<typeof import('../../src/http/server.ts')>('http/server.js');
const { watchDiskSpace } =
  await importBuilt<typeof import('../../src/instrument/disk-space.ts')>('instrument/disk-space.js');
const { instrumentKnex } = await importBuilt<typeof import('../../src/instrument/knex.ts')>('instrument/knex.js');
const { keepDefaultMetrics } =
  await importBuilt<typeof import('../../src/instrument/process.ts')>('instrument/process.js');
const { createWorkerMetrics } =
  await importBuilt<typeof import('../../src/instrument/worker-metrics.ts')>('instrument/worker-metrics.js');
const { createLog } = await importBuilt<typeof import('../../src/log.ts')>('log.js');
const { openPaymentProvider } =
  await importBuilt<typeof import('../../src/payments/simulated.ts')>('payments/simulated.js');
const { watchCatalogue } =
  await importBuilt<typeof import('../../src/shop/catalogue/watch.ts')>('shop/catalogue/watch.js');
const { createCheckoutPlaces } =
  await importBuilt<typeof import('../../src/shop/checkout/places.ts')>('shop/checkout/places.js');
const { createVisits } =
  await importBuilt<typeof import('../../src/shop/sessions/visits.ts')>('shop/sessions/visits.js');
const directory = createStoreDirectory({ name: 'bench' });

answerParent(startShop, () => directory.remove());

async function startShop({ connection, sessionKeys, instrumented }: PlainShopOptions): Promise<{ port: number }> {
  const worker = '1';
  const log = createLog({ logLevel: 'info' }, worker);
  const database = connect(connection, { poolMax: POOL_MAX, applicationName: 'bench', log });

  const registry = new WorkerRegistry(instrumented ? openStore({ directory: directory.path, worker }) : undefined);
  const metrics = createWorkerMetrics(registry, { worker, routes: shopRoutes, poolMax: POOL_MAX });
  if (instrumented) {
    keepDefaultMetrics(registry, log);
    instrumentKnex(database, metrics);
  }

  const catalogue = watchCatalogue(database, metrics, log);
  await catalogue.first;

  const app = createApp({
    database,
    catalogue,
    metrics,
    log,
    worker,
    payments: openPaymentProvider(connection, log),
    checkouts: createCheckoutPlaces({ poolMax: POOL_MAX }),
    reports: { orderCounted() {}, paymentSettled() {} },
    diskSpace: watchDiskSpace(database, metrics, log),
    templates: loadTemplates(),
    sessionKeys,
    visits: createVisits(database, log),
    rateLimiter: null,
    metricsEndpoint: null,
    ready: () => true,
  });
  if (!instrumented) {
    const others = app.middleware.filter(({ name }) => name !== 'timeRequests');
    if (others.length !== app.middleware.length - 1) throw new Error('timeRequests was not found in the application');
    app.middleware = others;
  }
  const { port } = await listen(app.callback(), { host: '127.0.0.1', port: 0 });
  return { port };
}
