import { constants } from 'node:zlib';
import Router from '@koa/router';
import type { ClusterRegistry } from '@techcommerce/cluster-metrics';
import Koa, { type Context, type Next } from 'koa';
import compress from 'koa-compress';
import { Registry } from 'prom-client';
import type { Logger } from '../log.ts';
import { renderHome } from './home.ts';
import type { Status } from './status.ts';
import { mayRead } from './token.ts';

export interface OpsOptions {
  registry: ClusterRegistry;
  status(): Status;
  /** What `/metrics` and `/status` ask for as `Authorization: Bearer …`, or null. */
  token: string | null;
  /** Be ready while the database is away, as the shop is then. */
  readyWithoutDatabase: boolean;
  log: Logger;
}

const OPEN_METRICS = 'application/openmetrics-text';

/** The primary's own HTTP application: metrics, status and health, no shop code. */
export function createOpsApp({ registry, status, token, readyWithoutDatabase, log }: OpsOptions): Koa {
  const squeeze = compress({
    // All that is answered here is text; koa-compress doesn't know that of OpenMetrics.
    filter: () => true,
    br: false,
    deflate: false,
    zstd: false,
    gzip: { level: constants.Z_BEST_SPEED },
  });

  /** No page of another site may read or show what is answered here, nor take it for something else than it is. */
  async function keepToOwnSite(ctx: Context, next: Next): Promise<void> {
    ctx.set({ 'X-Content-Type-Options': 'nosniff', 'Cross-Origin-Resource-Policy': 'same-origin' });
    await next();
  }

  async function answerErrors(ctx: Context, next: Next): Promise<void> {
    try {
      await next();
      if (ctx.status === 404 && ctx.body == null) plain(ctx, 404, 'There are /metrics, /status, /livez and /readyz.');
    } catch (error) {
      log.error({ err: error, path: ctx.path }, 'ops request failed');
      plain(ctx, 500, 'The request failed; the log of the primary says why.');
    }
  }

  /** koa-compress throws when a client accepts no encoding, not even the plain one; then it gets that. */
  async function compressIfAccepted(ctx: Context, next: Next): Promise<void> {
    if (ctx.acceptsEncodings('gzip', 'identity') === false) ctx.compress = false;
    await squeeze(ctx, next);
  }

  async function requireToken(ctx: Context, next: Next): Promise<void> {
    if (mayRead(ctx.get('authorization'), token)) return next();
    ctx.set('WWW-Authenticate', 'Bearer realm="metrics"');
    plain(ctx, 401, 'Send the header Authorization: Bearer <METRICS_TOKEN>.');
  }

  async function metrics(ctx: Context): Promise<void> {
    const worker = readWorker(ctx.query.worker);
    if (worker === undefined) return plain(ctx, 400, 'worker must be a place number, for example ?worker=2.');
    const contentType = wantsOpenMetrics(ctx) ? Registry.OPENMETRICS_CONTENT_TYPE : Registry.PROMETHEUS_CONTENT_TYPE;
    try {
      ctx.body = await registry.clusterMetrics({ contentType, ...(worker !== null && { worker }) });
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      return plain(ctx, 404, error.message);
    }
    ctx.set('Content-Type', contentType);
    ctx.set('Cache-Control', 'no-store');
    ctx.vary('Accept');
  }

  const router = new Router();
  router.get('/', (ctx) => {
    ctx.set('Content-Security-Policy', "default-src 'none'; frame-ancestors 'none'");
    ctx.type = 'html';
    ctx.body = renderHome(mayRead(ctx.get('authorization'), token) ? status() : null);
  });
  router.get('/metrics', requireToken, metrics);
  router.get('/status', requireToken, (ctx) => {
    ctx.set('Cache-Control', 'no-store');
    ctx.body = status();
  });
  router.get('/livez', (ctx) => plain(ctx, 200, 'ok'));
  router.get('/readyz', (ctx) => {
    const { database, workers } = status();
    const missing = [
      ...(database.up || readyWithoutDatabase ? [] : ['the database is not reachable']),
      ...(workers.some(({ state }) => state === 'serving') ? [] : ['no worker serves']),
    ];
    plain(ctx, missing.length === 0 ? 200 : 503, missing.join('; ') || 'ok');
  });

  const app = new Koa();
  app.silent = true;
  app.use(keepToOwnSite);
  app.use(answerErrors);
  app.use(compressIfAccepted);
  app.use(router.routes());
  app.use(router.allowedMethods());
  return app;
}

/** Parameters such as `version` and `escaping` narrow nothing here: each format has one form. */
function wantsOpenMetrics(ctx: Context): boolean {
  ctx.req.headers.accept = ctx.get('accept').replace(/;(?!\s*q\s*=)[^,;]*/gi, '') || '*/*';
  return ctx.accepts('text/plain', OPEN_METRICS) === OPEN_METRICS;
}

/** @returns null without a worker, undefined when it is no number */
function readWorker(value: string | string[] | undefined): number | null | undefined {
  if (value === undefined) return null;
  return typeof value === 'string' && /^[1-9]\d{0,5}$/.test(value) ? Number(value) : undefined;
}

function plain(ctx: Context, status: number, text: string): void {
  ctx.status = status;
  ctx.type = 'text/plain';
  ctx.body = `${text}\n`;
}
