import { type RateLimiterAbstract, RateLimiterRes } from 'rate-limiter-flexible';
import type { Logger } from '../log.ts';
import { tooManyRequests } from '../shop/errors.ts';
import type { WebMiddleware } from './state.ts';

/**
 * Lets an address post only so often. A limiter that fails lets everyone pass: it guards the shop, and must not close
 * it.
 *
 * @param limiter null: no limit
 */
export function limitRate(limiter: RateLimiterAbstract | null, log: Logger): WebMiddleware {
  return async function limitRate(ctx, next) {
    try {
      await limiter?.consume(ctx.ip);
    } catch (reason) {
      if (reason instanceof RateLimiterRes) throw tooManyRequests(Math.max(1, Math.ceil(reason.msBeforeNext / 1000)));
      log.warn({ err: reason }, 'the rate limiter failed, so the request passes');
    }
    await next();
  };
}
