import type { Middleware, ParameterizedContext } from 'koa';
import type { ShopError } from '../shop/errors.ts';

/** `ctx.state`: what the middleware of one request hand to each other. */
export interface RequestState {
  /** Identifies the request in the log and on error pages. */
  requestId: string;
  /** The visitor's session, once its row is stored. */
  visitor?: { id: string; cartCount: number };
  /** Rejects with a 429 when the address posts too often; nothing may be done for a post before. */
  admission?: Promise<void>;
  /** Why the request was answered with an error. */
  failure?: ShopError;
}

export type WebContext = ParameterizedContext<RequestState>;
export type WebMiddleware = Middleware<RequestState>;
