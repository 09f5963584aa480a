import { statusOf } from '../instrument/http.ts';
import { routeOf } from '../instrument/routes.ts';
import type { Logger } from '../log.ts';
import type { ShopError } from '../shop/errors.ts';
import { toShopError } from './failures.ts';
import type { WebContext, WebMiddleware } from './state.ts';

/** Asked for every few seconds by machines; the log of a quiet night should be quiet. */
const MACHINE_ROUTES = new Set(['/livez', '/readyz', '/metrics']);

/** A client that hangs up, or goes on with what isn't HTTP, is no error of ours. */
const CLIENT_FAULT = /^(ECONNRESET|EPIPE|ERR_STREAM_PREMATURE_CLOSE|HPE_\w+)$/;

const MAX_PATH = 200;

/** Whatever a stranger takes our addresses for. */
const CARD_NUMBER = /\d{12,}/g;

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
        path: ctx.originalUrl.split('?', 1)[0]?.slice(0, MAX_PATH).replace(CARD_NUMBER, '[digits]'),
        status: statusOf(ctx),
        durationMs: Math.round((performance.now() - startedMs) * 10) / 10,
        ...(failure && { error: failure.type }),
        ...(failure?.hint !== undefined && { hint: failure.hint }),
        ...(failure?.cause !== undefined && failure.status >= 500 && { cause: describe(failure.cause) }),
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
  const line = { requestId, route: routeOf(ctx), error: failure.type, cause: describe(failure.cause) };
  log[levelOfFailure(failure)](line, 'a page failed after its deadline');
}

/** What Koa says when a response ends otherwise than meant, long after its middleware. */
export function logBrokenResponses(log: Logger): (error: Error & { code?: string }) => void {
  return function logBrokenResponse(error) {
    const level = CLIENT_FAULT.test(error.code ?? '') ? 'debug' : 'error';
    log[level]({ cause: describe(error) }, 'a response broke');
  };
}

function levelOf(ctx: WebContext): 'debug' | 'info' | 'warn' | 'error' {
  const { failure } = ctx.state;
  if (failure && failure.status >= 500) return levelOfFailure(failure);
  return MACHINE_ROUTES.has(routeOf(ctx)) ? 'debug' : 'info';
}

/** Ours, or one that passes by itself. */
function levelOfFailure({ type }: ShopError): 'warn' | 'error' {
  return type === 'internal' ? 'error' : 'warn';
}

interface Description {
  message: string;
  code?: unknown;
  stack?: string | undefined;
  cause?: Description;
}

/** What helps to find an error's reason, without the fields in which PostgreSQL quotes whole rows. */
function describe(error: unknown): Description {
  if (!(error instanceof Error)) return { message: String(error) };
  return {
    message: error.message,
    ...('code' in error && { code: error.code }),
    stack: error.stack,
    ...(error.cause !== undefined && { cause: describe(error.cause) }),
  };
}
