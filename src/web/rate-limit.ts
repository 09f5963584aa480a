import { tooManyRequests } from '../shop/errors.ts';
import { clientOf } from './forwarded.ts';
import type { RateLimiter } from './rate-limiter.ts';
import type { WebMiddleware } from './state.ts';

/**
 * Lets an address post only so often. One that this worker knows to be over the limit is refused at once. Otherwise the
 * question is only asked here: the answer comes while the form and the visit are read, and `greetVisitor` waits for it
 * before anything is done.
 *
 * @param limiter null: no limit
 */
export function limitRate(limiter: RateLimiter | null): WebMiddleware {
  return async function limitRate(ctx, next) {
    if (limiter) {
      const asked = limiter.count(clientOf(ctx));
      if (typeof asked === 'number') throw tooManyRequests(asked);
      ctx.state.admission = asked.then((retryAfterSeconds) => {
        if (retryAfterSeconds > 0) throw tooManyRequests(retryAfterSeconds);
      });
      // A form that is refused for another reason does not wait for the answer.
      ctx.state.admission.catch(() => {});
    }
    await next();
  };
}
