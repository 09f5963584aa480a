import ipaddr from 'ipaddr.js';
import { type RateLimiterAbstract, RateLimiterRes } from 'rate-limiter-flexible';
import type { Logger } from '../log.ts';
import { tooManyRequests } from '../shop/errors.ts';
import type { WebMiddleware } from './state.ts';

/** Of an IPv6 address these groups name a network; the rest its owner chooses freely (RFC 4291, section 2.5.4). */
const NETWORK_GROUPS = 4;

/**
 * Lets an address post only so often. A limiter that fails lets everyone pass: it guards the shop, and must not close
 * it.
 *
 * @param limiter null: no limit
 */
export function limitRate(limiter: RateLimiterAbstract | null, log: Logger): WebMiddleware {
  return async function limitRate(ctx, next) {
    try {
      await limiter?.consume(ownerOf(ctx.ip));
    } catch (reason) {
      if (reason instanceof RateLimiterRes) throw tooManyRequests(Math.max(1, Math.ceil(reason.msBeforeNext / 1000)));
      log.warn({ err: reason }, 'the rate limiter failed, so the request passes');
    }
    await next();
  };
}

/** What attempts are counted under: an IPv4 address, or the network of an IPv6 address. */
function ownerOf(address: string): string {
  if (!ipaddr.isValid(address)) return address;
  const parsed = ipaddr.process(address);
  return parsed instanceof ipaddr.IPv6 ? parsed.parts.slice(0, NETWORK_GROUPS).join(':') : parsed.toString();
}
