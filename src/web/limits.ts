import { unavailable } from '../shop/errors.ts';
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
 * several. What it was doing goes on to its end, so that no order is left half-made; a repeated submit finds it.
 *
 * @param deadlineMs from the guards to the answer
 */
export function keepDeadline(deadlineMs: number): WebMiddleware {
  return async function keepDeadline(_ctx, next) {
    let timer: NodeJS.Timeout | undefined;
    const deadline = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => {
        reject(unavailable('database', { cause: new Error(`the page was not ready after ${deadlineMs} ms`) }));
      }, deadlineMs);
    });
    const work = next();
    // After the deadline nobody else waits for the work, and its failure has been answered already.
    work.catch(() => {});
    try {
      await Promise.race([work, deadline]);
    } finally {
      clearTimeout(timer);
    }
  };
}
