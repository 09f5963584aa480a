import { followQueries } from '../instrument/http.ts';
import { type MeasuredRoute, UNMATCHED } from '../instrument/worker-metrics.ts';
import { noSuchPage } from '../shop/errors.ts';
import { businessRoutes } from '../shop/routes.ts';
import { type Assets, FILES_ROUTE } from './assets.ts';
import { type CrawlerDeps, showRobots, showSitemap } from './crawlers.ts';
import { type Readiness, showLive, showReady } from './health.ts';
import { showMetrics } from './metrics-proxy.ts';
import type { WebContext } from './state.ts';

/** Dependencies of the plain routes. */
export interface PlainRouteDeps extends Readiness, CrawlerDeps {
  readonly assets: Assets;
  readonly metricsEndpoint: URL | null;
}

/** An address for programs: files, crawlers, health, metrics. No session, no limits. */
export interface PlainRoute {
  readonly path: string;
  handle(ctx: WebContext, plainRouteDeps: PlainRouteDeps): void | Promise<void>;
}

export const plainRoutes: readonly PlainRoute[] = [
  { path: FILES_ROUTE, handle: showFile },
  { path: '/favicon.ico', handle: showFavicon },
  { path: '/robots.txt', handle: showRobots },
  { path: '/sitemap.xml', handle: showSitemap },
  { path: '/livez', handle: showLive },
  { path: '/readyz', handle: (ctx, deps) => followQueries(ctx, () => showReady(ctx, deps)) },
  { path: '/metrics', handle: (ctx, { metricsEndpoint }) => showMetrics(ctx, metricsEndpoint) },
];

/** Files whose address `serveAssets` left to the router, and those that do not exist. */
function showFile(ctx: WebContext, { assets }: PlainRouteDeps): void {
  if (!assets.serve(ctx, ctx.params.path ?? '')) throw noSuchPage();
}

/** Pages name their icon. Browsers ask here for a page that has none, such as a text, and so do bookmark services. */
function showFavicon(ctx: WebContext, { assets }: PlainRouteDeps): void {
  if (!assets.serve(ctx, 'favicon.ico')) throw noSuchPage();
}

/** Any page: shown, internal error, not now. */
const PAGE = [200, 500, 503];
/** A page that a browser may keep and ask about. */
const COMMON_PAGE = [...PAGE, 304];
/** Any form: done, unreadable, from another site, too large, no form, too many, internal error, not now. */
const FORM = [302, 400, 403, 413, 415, 429, 500, 503];

/**
 * Which statuses each address can answer, so that each series is there at 0 before its first answer: `increase()` and
 * the alerts see a burst only when the series was there before it. A client that hung up (499) and methods that no
 * address has get their series when they come. The tests' shop fails a test in which an answer is missing here.
 */
const STATUSES: Record<string, readonly number[]> = {
  'GET /': COMMON_PAGE,
  'GET /shop': [...COMMON_PAGE, 404, 422],
  'GET /detail/:id': [...COMMON_PAGE, 404],
  'GET /contact': COMMON_PAGE,
  'POST /add_to_cart/:id': [...FORM, 404, 409, 422],
  'GET /cart': PAGE,
  'POST /update_quantity/:item': [...FORM, 404, 422],
  'POST /remove_item/:item': [...FORM, 404],
  'GET /checkout': [...PAGE, 302],
  'POST /checkout': [...FORM, 409, 422],
  'GET /order_confirmation/:number': [...PAGE, 404],
  'GET /pix/:reference': [...PAGE, 302, 404],
  'GET /pix/:reference/state': [...PAGE, 404],
  'POST /pix/:reference/simulation': [...FORM, 404, 422],
  'GET /static/*path': [200, 304, 404, 500],
  'GET /favicon.ico': [200, 304, 500],
  'GET /robots.txt': [200, 500],
  'GET /sitemap.xml': [200, 404, 500, 503],
  'GET /livez': [200],
  'GET /readyz': [200, 503],
  'GET /metrics': [200, 400, 401, 404, 500, 503],
};

/** Every address that a worker answers, and requests that no route answers. */
export const shopRoutes: readonly MeasuredRoute[] = [
  ...businessRoutes.map(({ method, path }) => measured(method, path)),
  ...plainRoutes.map(({ path }) => measured('GET', path)),
  { method: 'GET', route: UNMATCHED, statuses: [400, 404, 405] },
  { method: 'HEAD', route: UNMATCHED, statuses: [400, 404, 405] },
  { method: 'POST', route: UNMATCHED, statuses: [400, 404, 405] },
];

function measured(method: string, route: string): MeasuredRoute {
  const statuses = STATUSES[`${method} ${route}`];
  if (!statuses) throw new Error(`STATUSES does not say what ${method} ${route} can answer`);
  return { method, route, statuses };
}
