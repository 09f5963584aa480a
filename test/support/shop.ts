import assert from 'node:assert/strict';
import { createServer, type ServerOptions } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Writable } from 'node:stream';
import type { TestContext } from 'node:test';
import { WorkerRegistry } from '@techcommerce/cluster-metrics';
import { type Exposition, parseExposition } from '@techcommerce/cluster-metrics/testing';
import type { Knex } from 'knex';
import { pino } from 'pino';
import { connect } from '../../src/db/index.ts';
import type { DatabaseDeadlines } from '../../src/deadlines.ts';
import { watchDiskSpace } from '../../src/instrument/disk-space.ts';
import { instrumentKnex } from '../../src/instrument/knex.ts';
import { createWorkerMetrics } from '../../src/instrument/worker-metrics.ts';
import { serializers } from '../../src/log.ts';
import { openPaymentProvider } from '../../src/payments/simulated.ts';
import { watchCatalogue } from '../../src/shop/catalogue/watch.ts';
import { type CheckoutLimits, createCheckoutPlaces } from '../../src/shop/checkout/places.ts';
import { createVisits } from '../../src/shop/sessions/visits.ts';
import {
  type AppDeps,
  type AppOptions,
  createApp,
  loadTemplates,
  shopRoutes,
  type Templates,
} from '../../src/web/index.ts';
import { openPool, testDatabase } from './database.ts';
import { PATIENT } from './test-server.ts';
import { createVisitor, type Visitor } from './visitor.ts';
import { whenDone } from './wait.ts';

/** The application of one worker, in this process and on a port of its own. */
export interface TestShop {
  readonly origin: string;
  /** The URL of the database, for another pool. */
  readonly url: string;
  /** A pool of the test's own. */
  readonly knex: Knex;
  visitor(): Visitor;
  metrics(): Promise<Exposition>;
  /** The log's lines so far. */
  log(): string;
  /** Another worker on the same database. */
  another(overrides?: ShopOverrides): Promise<TestShop>;
}

export type ShopOverrides = Partial<AppDeps> & {
  options?: AppOptions;
  /** Deadlines of the shop's pool. */
  deadlines?: DatabaseDeadlines;
  checkoutLimits?: Partial<CheckoutLimits>;
  /** Options of its HTTP server. */
  http?: ServerOptions;
};

/** For tests that send many requests at once: limits that a busy machine does not reach, so that no answer is a 503. */
export const PATIENCE = {
  options: { deadlineMs: 15_000, load: { maxInFlight: 100, lateCount: 100, lateMs: 15_000 } },
  checkoutLimits: { lineMs: 15_000 },
  deadlines: PATIENT,
} satisfies ShopOverrides;

const POOL_MAX = 10;
const SESSION_KEYS = ['a key that only the tests know'];
/** Compiled once for all shops of this process. */
let templates: Templates | undefined;

/** Starts a shop with the catalogue in a new database. It ends with the test. */
export async function startShop(t: TestContext, overrides: ShopOverrides = {}): Promise<TestShop> {
  const { connection, knex } = await testDatabase(t);
  return serve(t, connection, knex, overrides);
}

async function serve(
  t: TestContext,
  connection: { url: string },
  knex: Knex,
  { options, deadlines, checkoutLimits, http = {}, ...overrides }: ShopOverrides,
): Promise<TestShop> {
  const registry = new WorkerRegistry();
  const metricsText = async () => parseExposition(await registry.metrics());
  whenDone(t, async () => assertAnswersAreDeclared(await metricsText()));
  const lines: string[] = [];
  const log = pino(
    { level: 'trace', serializers },
    new Writable({
      write(chunk, _encoding, done) {
        lines.push(String(chunk));
        done();
      },
    }),
  );
  const pool = { poolMax: POOL_MAX, applicationName: 'shop', log, ...(deadlines && { deadlines }) };
  const database = overrides.database ?? connect(connection, pool);
  const metrics = createWorkerMetrics(registry, { worker: '1', routes: shopRoutes, poolMax: POOL_MAX });
  whenDone(t, instrumentKnex(database, metrics));
  const diskSpace = watchDiskSpace(database, metrics, log);
  const catalogue = watchCatalogue(database, metrics, log);
  await catalogue.first;
  const provider = openPaymentProvider(connection, log);
  const visits = createVisits(database, log);
  templates ??= loadTemplates();
  const app = createApp(
    {
      catalogue,
      metrics,
      log,
      templates,
      sessionKeys: SESSION_KEYS,
      rateLimiter: null,
      metricsEndpoint: null,
      ready: () => true,
      payments: provider,
      checkouts: createCheckoutPlaces({ poolMax: POOL_MAX, ...checkoutLimits }),
      worker: 'test',
      reports: { orderCounted() {}, paymentSettled() {} },
      diskSpace,
      visits,
      ...overrides,
      database,
    },
    options,
  );
  const server = createServer(http, app.callback());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  whenDone(t, async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    diskSpace.stop();
    await catalogue.stop();
    await provider.close();
    await visits.stop();
    if (!overrides.database) await database.destroy();
  });
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    origin,
    url: connection.url,
    knex,
    visitor: () => createVisitor(origin),
    metrics: metricsText,
    log: () => lines.join(''),
    another: (more = {}) => serve(t, connection, knex, more),
  };
}

/** Statements that no request waits for: the catalogue's comparison, its ranking and the noting of visits. */
const IN_BACKGROUND = /^\s*(with written as|with latest as|insert into sessions)/;

/** Another worker on the database of a shop, with the statements that its requests have sent so far. */
export async function recordStatements(
  t: TestContext,
  shop: TestShop,
): Promise<{ shop: TestShop; statements: string[] }> {
  const database = openPool(t, { url: shop.url });
  const statements: string[] = [];
  database.on('query', ({ sql }: { sql: string }) => {
    if (!IN_BACKGROUND.test(sql)) statements.push(sql);
  });
  return { shop: await shop.another({ database }), statements };
}

/**
 * Asserts that the series of each answer existed from the start. A HEAD counts as a GET. Left out: clients that hung up,
 * and methods that no route has.
 */
function assertAnswersAreDeclared({ samples }: Exposition): void {
  const declared = new Set(
    shopRoutes.flatMap(({ method, route, statuses }) => statuses.map((status) => `${method} ${route} ${status}`)),
  );
  const methods = new Set(shopRoutes.map(({ method }) => method));
  const answers = samples
    .filter(({ name, labels }) => name === 'http_request_duration_seconds_count' && labels.status_code !== '499')
    .filter(({ labels: { method = '', route } }) => methods.has(method) || route !== 'unmatched')
    .map(({ labels: { method, route, status_code } }) => {
      const answered = method === 'HEAD' && route !== 'unmatched' ? 'GET' : method;
      return `${answered} ${route} ${status_code}`;
    });
  const missing = answers.filter((answer) => !declared.has(answer));
  assert.deepEqual(missing, [], 'STATUSES in src/web/routes.ts does not name these answers');
}

/** All rows as text, without the times when sessions were last seen, which any page may update. */
export async function dump(knex: Knex): Promise<string> {
  const tables = ['categories', 'products', 'sessions', 'carts', 'cart_items', 'orders', 'order_items'];
  const rows = await Promise.all(tables.map((table) => knex(table).select().orderBy(1)));
  const stored = Object.fromEntries(tables.map((table, i) => [table, rows[i]]));
  return JSON.stringify(stored, (column, value) => (column === 'last_seen_at' ? undefined : value), 1);
}
