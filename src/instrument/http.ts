import { Readable } from 'node:stream';
import type { Counter, Histogram } from '@techcommerce/cluster-metrics';
import type { Context, DefaultContext, Middleware } from 'koa';
import { RequestClock, withRequestClock } from './request-clock.ts';
import { UNMATCHED, type WorkerMetrics } from './worker-metrics.ts';

type HttpMetrics = Pick<
  WorkerMetrics,
  'httpRequestDuration' | 'httpResponseSize' | 'inFlight' | 'requestTime' | 'flush'
>;

/** As OpenTelemetry's HTTP conventions name a method that they don't know. */
const OTHER_METHOD = '_OTHER';
const METHOD_LABELS = new Set([
  ...['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'CONNECT', 'TRACE'],
  OTHER_METHOD,
]);

/** nginx logs this status for a client that hung up before it got its answer. */
const CLIENT_CLOSED_REQUEST = 499;

/** Statuses whose body Koa leaves out; https://www.rfc-editor.org/rfc/rfc9110#section-6.4.1 */
const EMPTY_STATUSES = new Set([204, 205, 304]);

/**
 * Measures every request: duration, response size, how many are in flight, and what their time was spent on.
 *
 * Runs first, so that its time covers all other middleware. Counts and writes before Koa sends the response, so that a
 * response that a client has received is counted even if the worker dies right after (law 2). The size of a body that
 * is streamed is observed at its last byte.
 *
 * The time of a query belongs to its request where `followQueries` is around it. `ctx.state.exemplar` has the labels of the
 * duration's exemplar, where there is one.
 */
export function timeRequests(metrics: HttpMetrics): Middleware {
  const { inFlight } = metrics;
  const series = new RequestSeries(metrics);
  return async function timeRequests(ctx, next) {
    const clock = new RequestClock();
    ctx.requestClock = clock;
    inFlight.requests += 1;
    let thrown: number | undefined;
    try {
      await next();
    } catch (error) {
      thrown = errorStatus(error);
      throw error;
    } finally {
      clock.stop();
      inFlight.requests -= 1;
      const route = series.ofRoute(routeOf(ctx));
      const answer = route.ofAnswer(ctx.req.method ?? OTHER_METHOD, statusOf(ctx, thrown));
      answer.duration.observe(clock.totalSeconds, ctx.state.exemplar);
      const { app, db, db_wait, payment } = clock.split;
      route.app.inc(app);
      if (db > 0) route.db.inc(db);
      if (db_wait > 0) route.dbWait.inc(db_wait);
      if (payment > 0) route.payment.inc(payment);
      if (thrown === undefined && !hungUp(ctx)) observeResponseSize(ctx, answer.size, metrics.flush);
      metrics.flush();
    }
  };
}

/**
 * Runs the part of a request's work that may query the database or pay, and charges the request with the time of it.
 * Only such requests need it, and it makes all promises of the process slower while it runs.
 */
export function followQueries<T>(ctx: DefaultContext, work: () => Promise<T>): Promise<T> {
  const clock = clockOf(ctx);
  return clock ? withRequestClock(clock, work) : work();
}

/** The clock of a request; undefined where requests are not timed. */
export function clockOf({ requestClock }: DefaultContext): RequestClock | undefined {
  return requestClock instanceof RequestClock ? requestClock : undefined;
}

interface AnswerSeries {
  readonly duration: Histogram.Internal<string>;
  readonly size: Histogram.Internal<string>;
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
export function statusOf(ctx: Pick<Context, 'res'>, prepared = ctx.res.statusCode): number {
  return hungUp(ctx) ? CLIENT_CLOSED_REQUEST : prepared;
}

/** Whether the client has gone, or was cut, before it got its answer. */
export function hungUp(ctx: Pick<Context, 'res'>): boolean {
  return ctx.res.destroyed && !ctx.res.writableEnded;
}

/**
 * The series that requests count in, each looked up by its labels once. As many as there are series on the page: the
 * labels come from the code.
 */
class RequestSeries {
  readonly #metrics: HttpMetrics;
  readonly #routes = new Map<string, RouteSeries>();

  constructor(metrics: HttpMetrics) {
    this.#metrics = metrics;
  }

  ofRoute(route: string): RouteSeries {
    let series = this.#routes.get(route);
    if (series === undefined) {
      series = new RouteSeries(this.#metrics, route);
      this.#routes.set(route, series);
    }
    return series;
  }
}

class RouteSeries {
  readonly app: Counter.Internal;
  readonly db: Counter.Internal;
  readonly dbWait: Counter.Internal;
  readonly payment: Counter.Internal;
  readonly #metrics: HttpMetrics;
  readonly #route: string;
  readonly #byMethod = new Map<string, Map<number, AnswerSeries>>();

  constructor(metrics: HttpMetrics, route: string) {
    const { requestTime } = metrics;
    this.app = requestTime.labels({ route, spent: 'app' });
    this.db = requestTime.labels({ route, spent: 'db' });
    this.dbWait = requestTime.labels({ route, spent: 'db_wait' });
    this.payment = requestTime.labels({ route, spent: 'payment' });
    this.#metrics = metrics;
    this.#route = route;
  }

  ofAnswer(method: string, status: number): AnswerSeries {
    return this.#byMethod.get(method)?.get(status) ?? this.#addAnswer(method, status);
  }

  #addAnswer(method: string, status: number): AnswerSeries {
    if (!METHOD_LABELS.has(method)) return this.ofAnswer(OTHER_METHOD, status);
    const labels = { method, route: this.#route, status_code: status };
    const series = {
      duration: this.#metrics.httpRequestDuration.labels(labels),
      size: this.#metrics.httpResponseSize.labels(labels),
    };
    const byStatus = this.#byMethod.get(method) ?? new Map<number, AnswerSeries>();
    this.#byMethod.set(method, byStatus.set(status, series));
    return series;
  }
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
function observeResponseSize(ctx: Context, size: Histogram.Internal<string>, flush: () => void): void {
  const { body } = ctx.response;
  const known = knownSize(ctx, body);
  if (known !== undefined) size.observe(known);
  else if (body instanceof Readable) {
    countBytes(body, (bytes) => {
      size.observe(bytes);
      flush();
    });
  }
}

function knownSize(ctx: Context, body: unknown): number | undefined {
  if (ctx.req.method === 'HEAD' || EMPTY_STATUSES.has(ctx.res.statusCode)) return 0;
  if (Buffer.isBuffer(body)) return body.length;
  // Koa answers a missing body with the status message.
  if (body === undefined || body === null) return Buffer.byteLength(ctx.message);
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
