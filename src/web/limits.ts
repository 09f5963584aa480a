import { unavailable } from '../shop/errors.ts';
import type { WebMiddleware } from './state.ts';

/**
 * Refuses at once what can't be served in time: a request more than these would only make all others wait longer.
 *
 * @param maxInFlight requests for pages that one worker works on at a time
 */
export function shedLoad(maxInFlight: number): WebMiddleware {
  let inFlight = 0;
  return async function shedLoad(_ctx, next) {
    if (inFlight >= maxInFlight) throw unavailable('overload', { retryAfterSeconds: 1 });
    inFlight++;
    try {
      await next();
    } finally {
      inFlight--;
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
