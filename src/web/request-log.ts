import type { Context } from 'koa';
import { routeOf, statusOf } from '../instrument/http.ts';
import type { Logger } from '../log.ts';
import type { ShopError } from '../shop/errors.ts';
import { toShopError } from './failures.ts';
import { loggedPath } from './logged-path.ts';
import type { WebContext, WebMiddleware } from './state.ts';

/** Asked for every few seconds by machines; the log of a quiet night should be quiet. */
const MACHINE_ROUTES = new Set(['/livez', '/readyz', '/metrics']);

/** A page has a dozen of them; those that fail are told. */
const FILES_ROUTE = '/static/*path';

/**
 * One line per request, an error's cause on the same line. Neither the query nor the headers nor the body are in it:
 * that's where secrets travel.
 */
export function logRequests(log: Logger): WebMiddleware {
  return async function logRequests(ctx, next) {
    const startedMs = performance.now();
    try {
      await next();
    } finally {
      const { requestId, failure } = ctx.state;
      const line = {
        requestId,
        method: ctx.method,
        route: routeOf(ctx),
        path: loggedPath(ctx.originalUrl),
        status: statusOf(ctx),
        durationMs: Math.round((performance.now() - startedMs) * 10) / 10,
        ...(failure && { error: failure.type }),
        ...(failure?.hint !== undefined && { hint: failure.hint }),
        ...(failure?.cause !== undefined && failure.status >= 500 && { cause: failure.cause }),
      };
      log[levelOf(ctx)](line, 'request');
    }
  };
}

/** What went wrong with a page after its visitor was told that it takes too long. A refusal is no failure. */
export function logLateFailure(log: Logger, ctx: WebContext, error: unknown): void {
  const failure = toShopError(error);
  if (failure.status < 500) return;
  const { requestId } = ctx.state;
  const line = { requestId, route: routeOf(ctx), error: failure.type, cause: failure.cause };
  log[levelOfFailure(failure)](line, 'a page failed after its deadline');
}

/**
 * What Koa says when a response ends otherwise than meant, long after its middleware. What the client's connection does is
 * no error of ours, and the request's own line tells it.
 */
export function logBrokenResponses(log: Logger): (error: Error & { code?: string }, ctx?: Context) => void {
  return function logBrokenResponse(error, ctx) {
    if (ctx && isOfConnection(error, ctx)) log.debug({ problem: error.message }, 'a connection broke');
    else log.error({ cause: error }, 'a response broke');
  };
}

/** Whether an error is the end of the client's connection: hung up, too slow, or not HTTP any more. */
function isOfConnection(error: Error & { code?: string }, { req }: Context): boolean {
  return error === req.socket.errored || error === req.errored || CUT_OFF.test(error.code ?? '');
}

/** The response's body was cut off by the end of the connection, or the request ended in the middle. */
const CUT_OFF = /^(ERR_STREAM_PREMATURE_CLOSE|HPE_\w+)$/;

function levelOf(ctx: WebContext): 'debug' | 'info' | 'warn' | 'error' {
  const { failure } = ctx.state;
  if (failure && failure.status >= 500) return levelOfFailure(failure);
  const route = routeOf(ctx);
  return MACHINE_ROUTES.has(route) || (route === FILES_ROUTE && !failure) ? 'debug' : 'info';
}

/** Ours, or one that passes by itself. */
function levelOfFailure({ type }: ShopError): 'warn' | 'error' {
  return type === 'internal' ? 'error' : 'warn';
}
