import { randomUUID } from 'node:crypto';
import { holdsCardNumber } from '../shop/payment/card-numbers.ts';
import type { WebMiddleware } from './state.ts';

/** What a proxy's request ids look like; anything else could be an attempt to forge log lines. */
const SANE = /^[\w.:-]{8,64}$/;

/**
 * Gives the request its id and tells the client. A trusted proxy's id is taken over; a stranger's is not, who could
 * give all requests the id of somebody else's.
 */
export function identifyRequest(): WebMiddleware {
  return async function identifyRequest(ctx, next) {
    const given = ctx.app.proxy ? ctx.get('X-Request-Id') : '';
    ctx.state.requestId = isSane(given) ? given : randomUUID();
    ctx.set('X-Request-Id', ctx.state.requestId);
    await next();
  };
}

function isSane(id: string): boolean {
  // Among the digits of random letters and digits, a card's number is easily found.
  return SANE.test(id) && (/[a-z]/i.test(id) || !holdsCardNumber(id));
}
