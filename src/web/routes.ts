import { type MeasuredRoute, UNMATCHED } from '../instrument/worker-metrics.ts';
import { businessRoutes } from '../shop/routes.ts';
import type { Assets } from './assets.ts';
import { type Readiness, showLive, showReady } from './health.ts';
import { showMetrics } from './metrics-proxy.ts';
import type { WebContext } from './state.ts';

/** Dependencies of the plain routes. */
export interface PlainRouteDeps extends Readiness {
  readonly assets: Assets;
  readonly metricsEndpoint: URL | null;
}

/** An address for programs: files, health, metrics. No session, no limits. */
export interface PlainRoute {
  readonly path: string;
  handle(ctx: WebContext, plainRouteDeps: PlainRouteDeps): void | Promise<void>;
}

export const plainRoutes: readonly PlainRoute[] = [
  { path: '/static/*path', handle: (ctx, { assets }) => assets.serve(ctx, ctx.params.path ?? '') },
  { path: '/livez', handle: showLive },
  { path: '/readyz', handle: showReady },
  { path: '/metrics', handle: (ctx, { metricsEndpoint }) => showMetrics(ctx, metricsEndpoint) },
];

/** Any page: shown, internal error, not now. */
const PAGE = [200, 500, 503];
/** Any form: done, unreadable, from another site, too large, no form, too many, internal error, not now. */
const FORM = [302, 400, 403, 413, 415, 429, 500, 503];

/**
 * Which statuses each address can answer, so that each series is there at 0 before its first answer: `increase()` and
 * the alerts see a burst only when the series was there before it. A client that hung up (499) and methods that no
 * address has get their series when they come. The tests' shop fails a test in which an answer is missing here.
 */
const STATUSES: Record<string, readonly number[]> = {
  'GET /': PAGE,
  'GET /shop': [...PAGE, 404, 422],
  'GET /detail/:id': [...PAGE, 404],
  'GET /contact': PAGE,
  'POST /add_to_cart/:id': [...FORM, 404, 409, 422],
  'GET /cart': PAGE,
  'POST /update_quantity/:item': [...FORM, 404, 422],
  'POST /remove_item/:item': [...FORM, 404],
  'GET /checkout': [...PAGE, 302],
  'POST /checkout': [...FORM, 409, 422],
  'GET /order_confirmation/:number': [...PAGE, 404],
  'GET /static/*path': [200, 304, 404, 500],
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
