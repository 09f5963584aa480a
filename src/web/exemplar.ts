import { holdsCardNumber } from '../shop/payment/card-numbers.ts';
import type { RequestExemplar } from '../shop/route.ts';
import type { WebContext } from './state.ts';

/** https://www.w3.org/TR/trace-context/#traceparent-header */
const TRACEPARENT = /^(?!ff)([\da-f]{2})-(?!0{32})([\da-f]{32})-(?!0{16})[\da-f]{16}-[\da-f]{2}(-.*)?$/;
const VERSION_00 = '00';
/** As long as a card's number at least. Letters separate numbers here, as most trace ids are random. */
const LONG_NUMBER = /\d{12,}/g;

/**
 * The labels of an exemplar that leads to this request: its id, and the id of the client's trace if it sent one. At most
 * 114 characters, so that no exemplar is refused.
 */
export function exemplarOf(ctx: WebContext): RequestExemplar {
  const { requestId } = ctx.state;
  const traceId = traceIdOf(ctx.get('traceparent'));
  return traceId === undefined ? { request_id: requestId } : { request_id: requestId, trace_id: traceId };
}

/** The trace id of a `traceparent` as the specification has it; of any other text, nothing. */
function traceIdOf(traceparent: string): string | undefined {
  const [, version, traceId, more] = TRACEPARENT.exec(traceparent) ?? [];
  // Only a later version may have further fields.
  if (traceId === undefined || (version === VERSION_00 && more !== undefined)) return undefined;
  return traceId.match(LONG_NUMBER)?.some(holdsCardNumber) ? undefined : traceId;
}
