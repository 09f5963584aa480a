import type { Knex } from 'knex';
import { acquireMs } from '../../db/index.ts';
import { noneIfLocked, shareStatements } from '../share-statements.ts';
import { type Addition, addToCart, addToCarts, type Units } from './queries.ts';

/** Adds units to a session's open cart, as {@link addToCart} does. */
export type CartAdder = (units: Units) => Promise<Addition | null>;

/**
 * Makes the function that adds to carts, for many visitors in one statement. Units whose rows another transaction has locked
 * are stored by themselves.
 */
export function createCartAdder(database: Knex): CartAdder {
  const addWithOthers = shareStatements(
    (units: readonly Units[]) => addToCarts(database, units, 'skip'),
    ({ sessionId }) => sessionId,
  );

  return async function add(units) {
    const addition = await addWithOthers(units, acquireMs(database)).catch(noneIfLocked);
    return addition === undefined ? addToCart(database, units) : addition;
  };
}
