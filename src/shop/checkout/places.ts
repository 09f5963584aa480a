import { Semaphore, type SemaphoreInterface, withTimeout } from 'async-mutex';
import { noteConnectionFailure } from '../../db/index.ts';
import { CHECKOUT_MS } from '../../deadlines.ts';
import { duringWait } from '../../instrument/request-clock.ts';
import { unavailable } from '../errors.ts';

/** How many of a worker's checkouts may do each thing at the same time. */
export interface CheckoutLimits {
  /** Connections of the pool. All but two, and at least one, are for statements that may wait for rows. */
  readonly poolMax: number;
  /**
   * Checkouts under way. Default 32: enough to keep a worker busy, although most of them wait for the payment provider,
   * which holds no connection.
   */
  readonly places?: number;
  /**
   * Longest wait for a place and for the first turn at the database together, and for each later turn. Default: the line's
   * share of a page.
   */
  readonly lineMs?: number;
}

/** Connections that checkouts leave to other pages. */
const SPARE_CONNECTIONS = 2;

/** Where checkouts wait for their turn. */
export interface CheckoutPlaces {
  /** Longest wait for a turn. */
  readonly lineMs: number;
  /** @throws {ShopError} 503 when no place was free in time */
  enter(): Promise<CheckoutPlace>;
  /**
   * Runs a statement of a checkout that has not paid.
   *
   * @param untilMs of `performance.now()`: the end of the wait
   * @throws an error for which `isDatabaseFailure` is true, when its turn did not come in time
   */
  reserve<T>(untilMs: number, statement: () => Promise<T>): Promise<T>;
  /** Runs a statement that stores a paid order, before all that wait to `reserve`. Throws as `reserve` does. */
  commit<T>(statement: () => Promise<T>): Promise<T>;
  /**
   * As `commit`, for a statement that waits for locks without a limit. Such statements have half of the turns, rounded up,
   * so that orders whose rows are free are stored meanwhile.
   */
  commitPatiently<T>(statement: () => Promise<T>): Promise<T>;
}

export interface CheckoutPlace {
  /** Of `performance.now()`: when the wait for a place and for the first turn at the database must be over. */
  readonly lineEndsMs: number;
  leave(): void;
}

/**
 * Limits the checkouts of a worker, so that other pages are served while checkouts wait: those that wait for a slow payment
 * provider don't take all the room for pages, and those that wait for locked rows don't take all connections.
 *
 * A line for places is a consequence of the provider's slowness, so the time in it counts as a wait for the provider. A
 * line at the database is one of the database's.
 */
export function createCheckoutPlaces({
  poolMax,
  places = 32,
  lineMs = CHECKOUT_MS.line,
}: CheckoutLimits): CheckoutPlaces {
  const connections = Math.max(1, poolMax - SPARE_CONNECTIONS);
  const room = new Semaphore(places);
  const statements = new Semaphore(connections);
  const patientStatements = new Semaphore(Math.ceil(connections / 2));

  async function inTurn<T>(of: Semaphore, statement: () => Promise<T>, untilMs: number, priority = 0): Promise<T> {
    const waitMs = Math.max(0, Math.round(untilMs - performance.now()));
    const done = await duringWait('db', () => turn(of, waitMs, priority)).catch(() => {
      const error = new Error(`other checkouts used the database, and this one's turn did not come in ${waitMs} ms`);
      noteConnectionFailure(error);
      throw error;
    });
    try {
      return await statement();
    } finally {
      done();
    }
  }

  return {
    lineMs,
    async enter() {
      const lineEndsMs = performance.now() + lineMs;
      const leave = await duringWait('payment', () => turn(room, lineMs)).catch(() => {
        const cause = new Error(`${places} checkouts were under way, and this one's turn did not come in ${lineMs} ms`);
        throw unavailable('overload', { cause });
      });
      return { lineEndsMs, leave };
    },
    reserve: (untilMs, statement) => inTurn(statements, statement, untilMs),
    commit: (statement) => inTurn(statements, statement, performance.now() + lineMs, 1),
    commitPatiently(statement) {
      const untilMs = performance.now() + lineMs;
      return inTurn(patientStatements, () => inTurn(statements, statement, untilMs, 1), untilMs);
    },
  };
}

/** @returns ends the turn */
async function turn(of: Semaphore, deadlineMs: number, priority = 0): Promise<SemaphoreInterface.Releaser> {
  const [, release] = await withTimeout(of, deadlineMs).acquire(1, priority);
  return release;
}
