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
  if (!SANE.test(id)) return false;
  // Among random letters and digits a card's number is easily found, but seldom in one piece.
  return /[a-z]/i.test(id) ? !id.split(/[^0-9a-z]+/i).some(isCardNumber) : !holdsCardNumber(id);
}

/** Whether digits are one card's number and nothing else. */
function isCardNumber(text: string): boolean {
  return /^\d+$/.test(text) && holdsCardNumber(text);
}
