import { Semaphore, type SemaphoreInterface, withTimeout } from 'async-mutex';
import { CHECKOUT_MS } from '../../deadlines.ts';
import { duringWait } from '../../instrument/request-clock.ts';
import { unavailable } from '../errors.ts';

/** How many checkouts of a worker do something at a time. */
export interface CheckoutLimits {
  /** From the first statement to the last one. Most of them wait for the payment provider, which holds no connection. */
  places: number;
  /** For a place, and for the first statement, in milliseconds. */
  lineMs: number;
  /** Of the pool, for statements that may wait for rows. */
  connections: number;
  /** For the turn of a checkout that has paid, in milliseconds. */
  connectionMs: number;
}

/** Where checkouts wait for their turn. */
export interface CheckoutPlaces {
  /** @throws {ShopError} 503 when no place was free in time */
  enter(): Promise<CheckoutPlace>;
}

/** One checkout's place. */
export interface CheckoutPlace {
  /**
   * Runs a statement that may wait for rows. Those of checkouts that have paid go first.
   *
   * @throws {ShopError} 503 when its turn did not come in time
   */
  inDatabase<T>(phase: 'reserve' | 'commit', statement: () => Promise<T>): Promise<T>;
  leave(): void;
}

/**
 * Limits the checkouts of a worker, so that other pages are served while checkouts wait: those that wait for a slow payment
 * provider don't take all the room for pages, and those that wait for locked rows don't take all connections.
 *
 * The line for a place is a consequence of the provider's slowness, so the time in it counts as a wait for the provider.
 */
export function createCheckoutPlaces({ places, lineMs, connections, connectionMs }: CheckoutLimits): CheckoutPlaces {
  const room = new Semaphore(places);
  const statements = new Semaphore(connections);

  async function enter(): Promise<CheckoutPlace> {
    const lineEndsMs = performance.now() + lineMs;
    const leave = await duringWait('payment', () => turn(room, lineMs)).catch(() => {
      const cause = new Error(`${places} checkouts were under way, and this one's turn did not come in ${lineMs} ms`);
      throw unavailable('overload', { cause });
    });
    return {
      leave,
      async inDatabase(phase, statement) {
        const isPaid = phase === 'commit';
        const restMs = Math.max(lineEndsMs - performance.now(), CHECKOUT_MS.reserve);
        const deadlineMs = Math.round(isPaid ? connectionMs : restMs);
        const done = await duringWait('db_wait', () => turn(statements, deadlineMs, isPaid ? 1 : 0)).catch(() => {
          const cause = new Error(
            `${connections} checkouts used the database, and this one's turn did not come in ${deadlineMs} ms`,
          );
          throw unavailable('database', { cause });
        });
        try {
          return await statement();
        } finally {
          done();
        }
      },
    };
  }

  return { enter };
}

/** @returns ends the turn */
async function turn(of: Semaphore, deadlineMs: number, priority = 0): Promise<SemaphoreInterface.Releaser> {
  const [, release] = await withTimeout(of, deadlineMs).acquire(1, priority);
  return release;
}
