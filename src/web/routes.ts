import type { MeasuredRoute } from '../instrument/routes.ts';
import { businessRoutes } from '../shop/routes.ts';
import type { Assets } from './assets.ts';
import { type Readiness, showLive, showReady } from './health.ts';
import { showMetrics } from './metrics-proxy.ts';
import type { WebContext } from './state.ts';

/** What the addresses that have no part in the business work with. */
export interface Ground extends Readiness {
  readonly assets: Assets;
  readonly metricsEndpoint: URL | null;
}

/** An address that is asked for by machines: files, health, metrics. No session, no limits. */
export interface PlainRoute {
  readonly path: string;
  handle(ctx: WebContext, ground: Ground): void | Promise<void>;
}

export const plainRoutes: readonly PlainRoute[] = [
  { path: '/static/*path', handle: (ctx, { assets }) => assets.serve(ctx, ctx.params.path ?? '') },
  { path: '/livez', handle: showLive },
  { path: '/readyz', handle: showReady },
  { path: '/metrics', handle: (ctx, { metricsEndpoint }) => showMetrics(ctx, metricsEndpoint) },
];

/** Every address that a worker answers, so that its series can be there before its first request. */
export const shopRoutes: readonly MeasuredRoute[] = [
  ...businessRoutes.map(({ method, path }) => ({ method, route: path })),
  ...plainRoutes.map(({ path }) => ({ method: 'GET', route: path })),
];
