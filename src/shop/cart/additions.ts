import type { Knex } from 'knex';
import { acquireMs, batchStatements, isLockTimeout } from '../../db/index.ts';
import { duringWait } from '../../instrument/request-clock.ts';
import { type Addition, addToCart, addToCarts, type Units } from './queries.ts';

/** Adds units to a session's open cart, as {@link addToCart} does. */
export type CartAdder = (units: Units) => Promise<Addition | null>;

/**
 * Makes the function that adds to carts, for many visitors in one statement. Units whose rows another transaction has locked
 * are stored by themselves.
 */
export function createCartAdder(database: Knex): CartAdder {
  const addWithOthers = batchStatements(addOrSkip, ({ sessionId }: Units) => sessionId);

  async function addOrSkip(units: readonly Units[]): Promise<ReadonlyMap<string, Addition | null>> {
    try {
      return await addToCarts(database, units, 'skip');
    } catch (error) {
      if (!isLockTimeout(error)) throw error;
      return new Map();
    }
  }

  return async function add(units) {
    const addition = await duringWait('db', () => addWithOthers(units, acquireMs(database)));
    return addition === undefined ? addToCart(database, units) : addition;
  };
}
