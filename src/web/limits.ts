import { clockOf } from '../instrument/http.ts';
import type { RequestClock } from '../instrument/request-clock.ts';
import type { Logger } from '../log.ts';
import { unavailable } from '../shop/errors.ts';
import { logLateFailure } from './request-log.ts';
import type { WebMiddleware } from './state.ts';

/** When a worker is too busy for another page. */
export interface LoadLimits {
  /** Requests for pages that one worker works on at a time. */
  maxInFlight: number;
  /** It has fallen behind when this many pages at once … */
  lateCount: number;
  /** … have been in flight for longer than this. Fewer may be slow for reasons of their own. */
  lateMs: number;
}

/**
 * Refuses a page at once when it can't be served in time. One more request would only make all others wait longer,
 * until each runs into its deadline and none is served.
 *
 * A page that has limits of its own is refused like all others, but is no sign that the worker has fallen behind: many
 * checkouts may wait for a payment provider or for a locked row, and the worker has time for other pages.
 *
 * @returns a middleware for each kind of page
 */
export function shedLoad({ maxInFlight, lateCount, lateMs }: LoadLimits): (hasOwnLimits: boolean) => WebMiddleware {
  /** Oldest first. */
  const inFlight = new Set<{ startedMs: number; hasOwnLimits: boolean }>();

  function isBehind(now: number): boolean {
    if (inFlight.size < lateCount) return false;
    let late = 0;
    for (const { startedMs, hasOwnLimits } of inFlight) {
      if (now - startedMs < lateMs) return false;
      if (!hasOwnLimits && ++late === lateCount) return true;
    }
    return false;
  }

  return (hasOwnLimits) => async (_ctx, next) => {
    const page = { startedMs: performance.now(), hasOwnLimits };
    if (inFlight.size >= maxInFlight || isBehind(page.startedMs))
      throw unavailable('overload', { retryAfterSeconds: 1 });
    inFlight.add(page);
    try {
      await next();
    } finally {
      inFlight.delete(page);
    }
  };
}

/**
 * Answers 503 when a page takes too long. Each query has its own deadline, but a page has several queries. The work
 * goes on to its end, so that no order is left half-made; a repeated submit finds the order. If the work fails then,
 * the log has a line of its own, since the visitor has been answered.
 *
 * @param deadlineMs from the guards to the answer
 */
export function keepDeadline(deadlineMs: number, log: Logger): WebMiddleware {
  return function keepDeadline(ctx, next) {
    return new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        ctx.state.isLate = true;
        const cause = new Error(`the page was not ready after ${deadlineMs} ms`);
        reject(unavailable(typeOfDelay(clockOf(ctx)), { cause }));
      }, deadlineMs);
      next().then(
        () => {
          clearTimeout(timer);
          resolve();
        },
        (error: unknown) => {
          clearTimeout(timer);
          if (ctx.state.isLate) logLateFailure(log, ctx, error);
          else reject(error);
        },
      );
    });
  };
}

/** The error type of a late request: `database` only if most of its time went there. */
function typeOfDelay(request: RequestClock | undefined): 'database' | 'overload' {
  if (!request) return 'overload';
  const { db, db_wait } = request.split;
  return db + db_wait > request.totalSeconds / 2 ? 'database' : 'overload';
}
