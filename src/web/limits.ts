import { currentRequest } from '../instrument/request-clock.ts';
import type { Logger } from '../log.ts';
import { withDeadline } from '../promises.ts';
import { unavailable } from '../shop/errors.ts';
import { logLateFailure } from './request-log.ts';
import type { WebMiddleware } from './state.ts';

/** When a worker has its hands full. */
export interface LoadLimits {
  /** Requests for pages that one worker works on at a time. */
  maxInFlight: number;
  /** It has fallen behind when this many pages at once … */
  lateCount: number;
  /** … have been waited for longer than this. Fewer may have reasons of their own, as a slow payment. */
  lateMs: number;
}

/**
 * Refuses at once what can't be served in time: a request more would only make all others wait longer, until each
 * runs into its deadline and nothing is served at all.
 */
export function shedLoad({ maxInFlight, lateCount, lateMs }: LoadLimits): WebMiddleware {
  /** Oldest first. */
  const inFlight = new Set<{ startedMs: number }>();

  function isBehind(now: number): boolean {
    if (inFlight.size < lateCount) return false;
    let late = 0;
    for (const { startedMs } of inFlight) {
      if (now - startedMs < lateMs) return false;
      if (++late === lateCount) return true;
    }
    return false;
  }

  return async function shedLoad(_ctx, next) {
    const page = { startedMs: performance.now() };
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
 * Answers 503 when a page takes too long, whatever it waits for: each query has its own deadline, but a page has
 * several. What it was doing goes on to its end, so that no order is left half-made; a repeated submit finds it. What
 * fails then is logged, since its visitor has been answered.
 *
 * @param deadlineMs from the guards to the answer
 */
export function keepDeadline(deadlineMs: number, log: Logger): WebMiddleware {
  return async function keepDeadline(ctx, next) {
    let late = false;
    const work = next();
    work.catch((error: unknown) => {
      if (late) logLateFailure(log, ctx, error);
    });
    await withDeadline(work, deadlineMs, () => {
      late = true;
      return unavailable(whatTookTheTime(), { cause: new Error(`the page was not ready after ${deadlineMs} ms`) });
    });
  };
}

/** Whose fault it is that the current request is late: the database's only if most of its time went there. */
function whatTookTheTime(): 'database' | 'overload' {
  const request = currentRequest();
  if (!request) return 'overload';
  const { db, db_wait } = request.split;
  return db + db_wait > request.totalSeconds / 2 ? 'database' : 'overload';
}
