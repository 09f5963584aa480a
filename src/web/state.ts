import type { Middleware, ParameterizedContext } from 'koa';
import type { ShopError } from '../shop/errors.ts';
import type { RequestExemplar } from '../shop/route.ts';
import type { FlashCode } from '../shop/sessions/flash.ts';

/** What the cookie of this visitor says, and will say after this answer. */
export interface Visitor {
  readonly id: string;
  /**
   * Units in the cart, for display alone; undefined where the cookie does not say it and `admitVisitor` could not learn
   * it. Adds of one visitor at the same moment don't see each other, so their count may be wrong, for half an hour at
   * most: until the next change of the cart, its own page, or a cookie of that age.
   */
  cartCount: number | undefined;
  /** A message to show once. */
  flash: FlashCode | undefined;
}

/** `ctx.state`: what the middleware of one request hand to each other. */
export interface RequestState {
  /** Identifies the request in the log and on error pages. */
  requestId: string;
  /** On pages alone. */
  visitor?: Visitor;
  /** Rejects with a 429 when the address posts too often; nothing may be done for a post before. */
  admission?: Promise<void>;
  /** The fields of a posted form. */
  form?: Readonly<Record<string, unknown>>;
  /** The deadline has passed: the visitor is answered with an error, and the handler's answer is dropped. */
  isLate?: true;
  /** Leads from the request's duration to its line in the log; not there if it has none. */
  exemplar?: RequestExemplar;
  /** Why the request was answered with an error. */
  failure?: ShopError;
}

export type WebContext = ParameterizedContext<RequestState>;
export type WebMiddleware = Middleware<RequestState>;
