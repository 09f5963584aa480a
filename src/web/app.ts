import { join } from 'node:path';
import type { Knex } from 'knex';
import Koa from 'koa';
import { PAGE_MS } from '../deadlines.ts';
import type { DiskSpace } from '../instrument/disk-space.ts';
import { timeRequests } from '../instrument/http.ts';
import type { WorkerMetrics } from '../instrument/worker-metrics.ts';
import type { Logger } from '../log.ts';
import { projectRoot } from '../paths.ts';
import type { PaymentGateway } from '../payments/gateway.ts';
import type { SettlementReports } from '../payments/settle.ts';
import { createCatalogue } from '../shop/catalogue/catalogue.ts';
import { createBulkhead } from '../shop/checkout/pay.ts';
import { createAssets } from './assets.ts';
import { compressBodies } from './compression.ts';
import { handleErrors } from './error-funnel.ts';
import { parseForm } from './form.ts';
import { keepDeadline, type LoadLimits, shedLoad } from './limits.ts';
import { createPages } from './pages.ts';
import { identifyRequest, readForwarded } from './proxies.ts';
import { limitRate, type RateLimiter } from './rate-limit.ts';
import { refuseCrossSite, refuseMalformedAddress } from './refusals.ts';
import { logBrokenResponses, logRequests } from './request-log.ts';
import { createRouter, refuseMethod } from './router.ts';
import { secureHeaders } from './security-headers.ts';
import { ensureSession, sessionCookie } from './session.ts';
import type { RequestState } from './state.ts';
import type { Templates } from './templates.ts';

export interface AppDeps {
  database: Knex;
  metrics: WorkerMetrics;
  log: Logger;
  /** From `loadTemplates`. */
  templates: Templates;
  /** Newest first: it signs, all verify. */
  sessionKeys: readonly string[];
  /** Form posts per address; null: no limit. */
  rateLimiter: RateLimiter | null;
  /** The primary's `/metrics`; null: this port has none. */
  metricsEndpoint: URL | null;
  /** Whether this worker takes new requests: false while it starts and drains. */
  ready(): boolean;
  payments: PaymentGateway;
  /** Name of this process in the ledger of payments. */
  worker: string;
  /** To the primary of this worker. */
  reports: SettlementReports;
  diskSpace: DiskSpace;
}

export interface AppOptions {
  /**
   * How many proxies are in front. Their `X-Forwarded-*` and `X-Request-Id` are believed, so they must set these
   * headers themselves. `true` is one; default none.
   */
  trustProxy?: number | boolean;
  /** `/readyz` leaves the database out. Default false. */
  readyWithoutDatabase?: boolean;
  /** When to refuse pages; default 100 in flight, or 10 that take longer than a second. */
  load?: LoadLimits;
  /** Milliseconds until a page that isn't ready becomes a 503; default 1900. */
  deadlineMs?: number;
}

const LOAD: LoadLimits = { maxInFlight: 100, lateCount: 10, lateMs: 1_000 };

/**
 * Checkouts alone must not make a worker look late: so many fewer than `lateCount` may wait for the payment provider.
 */
const SPARE_PAGES = 2;

/** The shop as a Koa application. */
export function createApp(deps: AppDeps, options: AppOptions = {}): Koa<RequestState> {
  const { database, metrics, log, payments, worker, reports, diskSpace, rateLimiter, metricsEndpoint, ready } = deps;
  const { trustProxy = false, readyWithoutDatabase = false, load = LOAD, deadlineMs = PAGE_MS } = options;

  const proxies = Number(trustProxy);
  const app = new Koa<RequestState>({ proxy: proxies > 0, maxIpsCount: proxies });
  app.keys = [...deps.sessionKeys];
  app.on('error', logBrokenResponses(log));

  const catalogue = createCatalogue(database);
  const assets = createAssets(join(projectRoot, 'public'));
  const pages = createPages({ assets, catalogue, templates: deps.templates });
  const checkouts = createBulkhead(Math.max(1, load.lateCount - SPARE_PAGES));
  const router = createRouter({
    shop: { database, metrics, catalogue, checkouts, payments, worker, reports, diskSpace, log },
    pages,
    plainRouteDeps: { assets, database, metricsEndpoint, ready, readyWithoutDatabase },
    beforeForms: [refuseCrossSite(), limitRate(rateLimiter), parseForm()],
    beforePages: [shedLoad(load), keepDeadline(deadlineMs, log), ensureSession(database, deps.sessionKeys)],
  });

  app.use(timeRequests(metrics));
  app.use(readForwarded(proxies));
  app.use(identifyRequest());
  app.use(logRequests(log));
  app.use(secureHeaders());
  app.use(compressBodies());
  app.use(handleErrors(metrics, pages));
  app.use(refuseMalformedAddress());
  app.use(sessionCookie(app, deps.sessionKeys));
  app.use(router.routes());
  app.use(refuseMethod());
  return app;
}
