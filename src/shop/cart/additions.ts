import type { Knex } from 'knex';
import { batchStatements } from '../../db/index.ts';
import { PAGE_DATABASE } from '../../deadlines.ts';
import { duringWait } from '../../instrument/request-clock.ts';
import { type Addition, addToCart, addToCarts, type Units } from './queries.ts';

/** Adds units to a session's open cart, as {@link addToCart} does. */
export type CartAdder = (units: Units) => Promise<Addition | null>;

/**
 * Makes the function that adds to carts, for many visitors in one statement. A cart or a product that another transaction
 * has locked holds up its own visitor alone.
 */
export function createCartAdder(database: Knex): CartAdder {
  const addWithOthers = batchStatements(
    (units: readonly Units[]) => addToCarts(database, units, 'skip'),
    ({ sessionId }) => sessionId,
    { waitMs: PAGE_DATABASE.acquire },
  );

  return async function add(units) {
    const addition = await duringWait('db', () => addWithOthers(units));
    return addition === undefined ? addToCart(database, units) : addition;
  };
}
