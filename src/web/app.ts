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
import { createCartAdder } from '../shop/cart/additions.ts';
import type { CatalogueWatch } from '../shop/catalogue/watch.ts';
import type { CheckoutPlaces } from '../shop/checkout/places.ts';
import { createCheckoutStatements } from '../shop/checkout/statements.ts';
import type { Route } from '../shop/route.ts';
import { businessRoutes } from '../shop/routes.ts';
import type { Visits } from '../shop/sessions/visits.ts';
import { createAssets, serveAssets } from './assets.ts';
import { finishBodies } from './bodies.ts';
import { chain } from './chain.ts';
import { handleErrors } from './error-funnel.ts';
import { parseForm } from './form.ts';
import { keepDeadline, type LoadLimits, shedLoad } from './limits.ts';
import { createOriginOf } from './origin.ts';
import { createPages } from './pages.ts';
import { identifyRequest, readForwarded } from './proxies.ts';
import { limitRate, type RateLimiter } from './rate-limit.ts';
import { refuseCrossSite, refuseMalformedAddress } from './refusals.ts';
import { logBrokenResponses, logRequests } from './request-log.ts';
import { matchRoutes, refuseMethod } from './router.ts';
import { secureHeaders } from './security-headers.ts';
import { admitVisitor, sessionCookie } from './session.ts';
import type { RequestState } from './state.ts';
import type { Templates } from './templates.ts';

export interface AppDeps {
  database: Knex;
  catalogue: CatalogueWatch;
  metrics: WorkerMetrics;
  log: Logger;
  /** From `loadTemplates`. */
  templates: Templates;
  /** Newest first: it signs, all verify. */
  sessionKeys: readonly string[];
  visits: Visits;
  /** Form posts per address; null: no limit. */
  rateLimiter: RateLimiter | null;
  /** The primary's `/metrics`; null: this port has none. */
  metricsEndpoint: URL | null;
  /** Whether this worker takes new requests: false while it starts and drains. */
  ready(): boolean;
  payments: PaymentGateway;
  /** Shared with the orders by Pix of this worker. */
  checkouts: CheckoutPlaces;
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
  /** Origin of the addresses that must be absolute, such as `https://shop.example`; default null, see `originOf`. */
  publicUrl?: string | null;
  /** `/readyz` leaves the database out. Default false. */
  readyWithoutDatabase?: boolean;
  /** Pages and forms; default those of the business. */
  routes?: readonly Route[];
  /** When to refuse pages; default 100 in flight, or 10 that take longer than a second. */
  load?: LoadLimits;
  /** Milliseconds until a page that isn't ready becomes a 503; default 1900. */
  deadlineMs?: number;
}

const LOAD: LoadLimits = { maxInFlight: 100, lateCount: 10, lateMs: 1_000 };

/** The shop as a Koa application. */
export function createApp(deps: AppDeps, options: AppOptions = {}): Koa<RequestState> {
  const {
    database,
    catalogue,
    metrics,
    log,
    payments,
    checkouts,
    worker,
    reports,
    diskSpace,
    rateLimiter,
    metricsEndpoint,
    ready,
    sessionKeys,
    visits,
  } = deps;
  const {
    trustProxy = false,
    publicUrl = null,
    readyWithoutDatabase = false,
    routes = businessRoutes,
    load = LOAD,
    deadlineMs = PAGE_MS,
  } = options;

  const proxies = Number(trustProxy);
  const app = new Koa<RequestState>({ proxy: proxies > 0, maxIpsCount: proxies });
  app.on('error', logBrokenResponses(log));

  const assets = createAssets(join(projectRoot, 'public'));
  const session = sessionCookie(app, { keys: sessionKeys, visits, metrics });
  const originOf = createOriginOf(publicUrl);
  const pages = createPages({
    assets,
    catalogue,
    templates: deps.templates,
    cartCountOf: session.cartCountOf,
    originOf,
  });
  const matchRoute = matchRoutes({
    routes,
    shop: {
      database,
      metrics,
      catalogue,
      addToCart: createCartAdder(database),
      checkouts,
      checkoutStatements: createCheckoutStatements(database, checkouts),
      payments,
      worker,
      reports,
      diskSpace,
      log,
    },
    pages,
    plainRouteDeps: { assets, catalogue, database, metricsEndpoint, originOf, ready, readyWithoutDatabase },
    beforeForms: [refuseCrossSite(), limitRate(rateLimiter), parseForm()],
    shedLoad: shedLoad(load),
    sessionCookie: session.middleware,
    keepDeadline: keepDeadline(deadlineMs, log),
    admitVisitor: admitVisitor(database, log),
  });

  app.use(timeRequests(metrics));
  app.use(
    chain([
      ...(proxies > 0 ? [readForwarded(proxies)] : []),
      identifyRequest(),
      logRequests(log),
      secureHeaders(),
      serveAssets(assets),
      finishBodies(),
      handleErrors(metrics, pages),
      refuseMalformedAddress(),
      matchRoute,
      refuseMethod(),
    ]),
  );
  return app;
}
