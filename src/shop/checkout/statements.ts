import type { Knex } from 'knex';
import { SHORT_LOCK_WAIT_MS } from '../../deadlines.ts';
import { noneIfLocked, shareStatements } from '../share-statements.ts';
import type { CheckoutPlaces } from './places.ts';
import {
  type CartRequest,
  type FoundCart,
  type NewOrder,
  reserveCart,
  reserveCarts,
  type StoredOrder,
  storeOrder,
  storeOrders,
} from './queries.ts';

/** Orders of one statement: it holds the rows of popular products until all of them are stored. */
const ORDERS = 8;

/**
 * The statements of a checkout. Each serves many visitors at once. A visitor whose rows another transaction has locked is
 * served alone, in turn.
 */
export interface CheckoutStatements {
  /**
   * Reads a cart and starts its payment.
   *
   * @param untilMs of `performance.now()`: the end of the wait for a turn
   */
  reserveCart(request: CartRequest, untilMs: number): Promise<FoundCart | null>;
  /**
   * Stores a paid order, with a short wait for locks.
   *
   * @throws an error for which `isLockTimeout` is true
   */
  storeOrder(order: NewOrder): Promise<StoredOrder>;
}

export function createCheckoutStatements(database: Knex, checkouts: CheckoutPlaces): CheckoutStatements {
  const reserveWithOthers = shareStatements(
    (requests: readonly CartRequest[]) => reserveCarts(database, requests, 'skip'),
    ({ sessionId }) => sessionId,
  );
  const storeWithOthers = shareStatements(
    (orders: readonly NewOrder[]) => checkouts.commit(() => storeOrders(database, orders, SHORT_LOCK_WAIT_MS)),
    ({ cartId }) => cartId,
    { size: ORDERS },
  );

  return {
    async reserveCart(request, untilMs) {
      const waitMs = Math.max(0, untilMs - performance.now());
      const found = await reserveWithOthers(request, waitMs).catch(noneIfLocked);
      return found === undefined ? checkouts.reserve(untilMs, () => reserveCart(database, request)) : found;
    },
    async storeOrder(order) {
      const stored = await storeWithOthers(order, checkouts.lineMs);
      return stored ?? checkouts.commit(() => storeOrder(database, order, SHORT_LOCK_WAIT_MS));
    },
  };
}
