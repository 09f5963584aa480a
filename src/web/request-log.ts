import { routeOf } from '../instrument/routes.ts';
import type { Logger } from '../log.ts';
import type { WebContext, WebMiddleware } from './state.ts';

/** Asked for every few seconds by machines; the log of a quiet night should be quiet. */
const MACHINE_ROUTES = new Set(['/livez', '/readyz', '/metrics']);

/** A client that hangs up, or goes on with what isn't HTTP, is no error of ours. */
const CLIENT_FAULT = /^(ECONNRESET|EPIPE|ERR_STREAM_PREMATURE_CLOSE|HPE_\w+)$/;

const MAX_PATH = 200;

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
        path: ctx.originalUrl.split('?', 1)[0]?.slice(0, MAX_PATH),
        status: ctx.status,
        durationMs: Math.round((performance.now() - startedMs) * 10) / 10,
        ...(failure && { error: failure.type }),
        ...(failure?.cause !== undefined && failure.status >= 500 && { cause: describe(failure.cause) }),
      };
      log[levelOf(ctx)](line, 'request');
    }
  };
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
  if (failure && failure.status >= 500) return failure.type === 'internal' ? 'error' : 'warn';
  return MACHINE_ROUTES.has(routeOf(ctx)) ? 'debug' : 'info';
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
