import Router from '@koa/router';
import { type ClusterRegistry, createMetricsHandler } from '@techcommerce/cluster-metrics';
import Koa, { type Context, type Next } from 'koa';
import type { Answer, Question } from '../debug/questions.ts';
import type { Faults } from '../faults/primary.ts';
import type { Logger } from '../log.ts';
import { isPlaceNumber, plain } from './answers.ts';
import { addDebugRoutes } from './debug.ts';
import { addFaultRoutes } from './faults.ts';
import type { LastScrape } from './last-scrape.ts';
import type { Live } from './live/live.ts';
import { addPages } from './live/page-routes.ts';
import { addLiveRoutes } from './live/routes.ts';
import type { Status } from './status.ts';
import { mayRead } from './token.ts';

export interface OpsOptions {
  registry: ClusterRegistry;
  lastScrape: LastScrape;
  live: Live;
  status(): Status;
  /** Null unless the environment allows rehearsed faults. */
  faults: Faults | null;
  /** Asks the worker in a place about its main thread. */
  ask(place: number, question: Question): Promise<Answer>;
  /** The token that everything but the pages themselves and health requires as `Authorization: Bearer …`, or null. */
  token: string | null;
  /** Be ready while the database is away, as the shop is then. */
  readyWithoutDatabase: boolean;
  log: Logger;
}

const PATHS =
  'There are /, /metrics, /status, /runbook, /debug/stack, /debug/profile, /debug/heap, /livez and /readyz.';

const NO_FAULTS = 'No faults can be rehearsed here: start the shop with FAULTS=true, which production refuses.';

/** The primary's own HTTP application: the live page, metrics, status, debugging, faults and health; no shop code. */
export function createOpsApp(options: OpsOptions): Koa {
  const { registry, lastScrape, live, status, faults, ask, token, readyWithoutDatabase, log } = options;
  const showMetrics = createMetricsHandler(registry, {
    onProblem: (error) => log.error({ err: error, path: '/metrics' }, 'ops request failed'),
  });

  /** No page of another site may read or embed these answers, and no browser may guess their type. */
  async function isolateFromOtherSites(ctx: Context, next: Next): Promise<void> {
    ctx.set({ 'X-Content-Type-Options': 'nosniff', 'Cross-Origin-Resource-Policy': 'same-origin' });
    await next();
  }

  async function answerErrors(ctx: Context, next: Next): Promise<void> {
    try {
      await next();
      const isAnswered = ctx.respond === false || ctx.body != null;
      if (ctx.status === 404 && !isAnswered) plain(ctx, 404, PATHS);
    } catch (error) {
      log.error({ err: error, path: ctx.path }, 'ops request failed');
      plain(ctx, 500, 'The request failed; the log of the primary says why.');
    }
  }

  async function requireToken(ctx: Context, next: Next): Promise<void> {
    if (mayRead(ctx.get('authorization'), token)) return next();
    ctx.set('WWW-Authenticate', 'Bearer realm="metrics"');
    plain(ctx, 401, 'Send the header Authorization: Bearer <METRICS_TOKEN>.');
  }

  async function metrics(ctx: Context): Promise<void> {
    const { worker } = ctx.query;
    // The package takes any word as a place. Here places are numbers: another word is a wrong request, not a missing worker.
    if (worker !== undefined && !isPlaceNumber(worker)) {
      return plain(ctx, 400, 'worker must be a place number, for example ?worker=2.');
    }
    if (worker === undefined) lastScrape.note(ctx.req, ctx.res);
    ctx.respond = false;
    await showMetrics(ctx.req, ctx.res);
  }

  const router = new Router();
  addPages(router, live, (ctx) => mayRead(ctx.get('authorization'), token));
  router.get('/metrics', requireToken, metrics);
  router.get('/status', requireToken, (ctx) => {
    ctx.set('Cache-Control', 'no-store');
    ctx.body = status();
  });
  addLiveRoutes(router, live, requireToken);
  addDebugRoutes(router, { token, requireToken, workers: () => status().workers, ask });
  if (faults) addFaultRoutes(router, { token, requireToken, faults });
  else router.all('/faults', requireToken, (ctx) => plain(ctx, 404, NO_FAULTS));
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
  app.use(isolateFromOtherSites);
  app.use(answerErrors);
  app.use(router.routes());
  app.use(router.allowedMethods());
  return app;
}
