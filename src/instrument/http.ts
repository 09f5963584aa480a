import type { Context, Middleware } from 'koa';
import type { WorkerMetrics } from './metrics.ts';
import { RequestClock, SPENT, withRequestClock } from './request-clock.ts';
import { observeResponseSize } from './response-size.ts';
import { routeOf } from './routes.ts';

type HttpMetrics = Pick<
  WorkerMetrics,
  'httpRequestDuration' | 'httpResponseSize' | 'httpRequestsInFlight' | 'requestTime' | 'flush'
>;

const KNOWN_METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'CONNECT', 'TRACE']);
/** As OpenTelemetry's HTTP conventions name a method that they don't know. */
const OTHER_METHOD = '_OTHER';

/** What nginx logs for a client that hung up before it got its answer. */
const CLIENT_CLOSED_REQUEST = 499;

/**
 * The status that a request counts and is logged with.
 *
 * @param prepared what a client is told that has waited for it
 */
export function statusOf(ctx: Pick<Context, 'status' | 'res'>, prepared = ctx.status): number {
  return hungUp(ctx) ? CLIENT_CLOSED_REQUEST : prepared;
}

/**
 * Measures every request: duration, response size, how many are in flight, and what their time went to.
 *
 * Runs first, so that its time covers all other middleware; observes before Koa sends the response, so that what a
 * client has received is counted even if the worker dies right after (law 2). The size of a body that is streamed,
 * as a compressed page is, is observed at its last byte.
 */
export function timeRequests(metrics: HttpMetrics): Middleware {
  return async function timeRequests(ctx, next) {
    const clock = new RequestClock();
    metrics.httpRequestsInFlight.inc();
    let thrown: number | undefined;
    try {
      await withRequestClock(clock, next);
    } catch (error) {
      thrown = errorStatus(error);
      throw error;
    } finally {
      clock.stop();
      metrics.httpRequestsInFlight.dec();
      const route = routeOf(ctx);
      const labels = { method: knownMethod(ctx.method), route, status_code: String(statusOf(ctx, thrown)) };
      metrics.httpRequestDuration.observe(labels, clock.totalSeconds);
      const { split } = clock;
      for (const spent of SPENT) metrics.requestTime.inc({ route, spent }, split[spent]);
      if (thrown === undefined && !hungUp(ctx)) observeResponseSize(ctx, metrics, labels);
    }
  };
}

function knownMethod(method: string): string {
  return KNOWN_METHODS.has(method) ? method : OTHER_METHOD;
}

/** Whether the client has gone, or was cut, before it got its answer. */
export function hungUp(ctx: Pick<Context, 'res'>): boolean {
  return ctx.res.destroyed && !ctx.res.writableEnded;
}

/** The status that Koa answers for an error that nobody caught (koa/lib/context.js, `onerror`). */
function errorStatus(error: unknown): number {
  const { status, statusCode } = (error ?? {}) as { status?: unknown; statusCode?: unknown };
  const wanted = status ?? statusCode;
  return typeof wanted === 'number' && wanted >= 400 && wanted <= 599 ? wanted : 500;
}
