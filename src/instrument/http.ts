import { Readable } from 'node:stream';
import type { Context, DefaultContext, Middleware } from 'koa';
import { RequestClock, SPENT, withRequestClock } from './request-clock.ts';
import { UNMATCHED, type WorkerMetrics } from './worker-metrics.ts';

type HttpMetrics = Pick<
  WorkerMetrics,
  'httpRequestDuration' | 'httpResponseSize' | 'httpRequestsInFlight' | 'requestTime' | 'flush'
>;

const KNOWN_METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'CONNECT', 'TRACE']);
/** As OpenTelemetry's HTTP conventions name a method that they don't know. */
const OTHER_METHOD = '_OTHER';

/** nginx logs this status for a client that hung up before it got its answer. */
const CLIENT_CLOSED_REQUEST = 499;

/** Statuses whose body Koa leaves out; https://www.rfc-editor.org/rfc/rfc9110#section-6.4.1 */
const EMPTY_STATUSES = new Set([204, 205, 304]);

/**
 * Measures every request: duration, response size, how many are in flight, and what their time was spent on.
 *
 * Runs first, so that its time covers all other middleware; observes before Koa sends the response, so that a response
 * that a client has received is counted even if the worker dies right after (law 2). The size of a body that is
 * streamed, as a compressed page is, is observed at its last byte.
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

/** Label `route` of a request: the matched template as @koa/router leaves it, never the path itself. */
export function routeOf(ctx: DefaultContext): string {
  const route: unknown = ctx._matchedRoute;
  return typeof route === 'string' ? route : UNMATCHED;
}

/**
 * The status under which a request is counted and logged: 499 when the client hung up first.
 *
 * @param prepared the status of the response; default: as it stands
 */
export function statusOf(ctx: Pick<Context, 'status' | 'res'>, prepared = ctx.status): number {
  return hungUp(ctx) ? CLIENT_CLOSED_REQUEST : prepared;
}

/** Whether the client has gone, or was cut, before it got its answer. */
export function hungUp(ctx: Pick<Context, 'res'>): boolean {
  return ctx.res.destroyed && !ctx.res.writableEnded;
}

function knownMethod(method: string): string {
  return KNOWN_METHODS.has(method) ? method : OTHER_METHOD;
}

/** The status that Koa answers for an error that no middleware caught (koa/lib/context.js, `onerror`). */
function errorStatus(error: unknown): number {
  const { status, statusCode } = (error ?? {}) as { status?: unknown; statusCode?: unknown };
  const wanted = status ?? statusCode;
  return typeof wanted === 'number' && wanted >= 400 && wanted <= 599 ? wanted : 500;
}

/**
 * Observes the bytes of a response's body as they are sent: at once when they are known, at the last byte of a stream,
 * never for a body that is neither; in any case before the client can have seen the end of the response.
 */
function observeResponseSize(
  ctx: Context,
  { httpResponseSize, flush }: Pick<WorkerMetrics, 'httpResponseSize' | 'flush'>,
  labels: { method: string; route: string; status_code: string },
): void {
  const known = knownSize(ctx);
  if (known !== undefined) httpResponseSize.observe(labels, known);
  else if (ctx.body instanceof Readable) {
    countBytes(ctx.body, (bytes) => {
      httpResponseSize.observe(labels, bytes);
      flush();
    });
  }
}

function knownSize(ctx: Context): number | undefined {
  if (ctx.method === 'HEAD' || EMPTY_STATUSES.has(ctx.status)) return 0;
  // Koa answers a missing body with the status message.
  if (ctx.body === undefined || ctx.body === null) return Buffer.byteLength(ctx.message);
  return ctx.response.length;
}

/**
 * Koa pipes the body within this turn of the microtasks, so the flow that a `data` listener starts at the next tick
 * loses nothing; and since this `end` listener comes before the pipe's, it runs before the response ends, in the same
 * turn.
 */
function countBytes(body: Readable, observe: (bytes: number) => void): void {
  let bytes = 0;
  function ended(): void {
    body.off('end', ended);
    body.off('close', ended);
    observe(bytes);
  }
  body.on('data', (chunk: Buffer | string) => {
    bytes += Buffer.byteLength(chunk);
  });
  body.on('end', ended);
  body.on('close', ended);
}
