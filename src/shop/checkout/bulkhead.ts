import { Semaphore, withTimeout } from 'async-mutex';
import { recordPayment } from '../../instrument/request-clock.ts';
import { unavailable } from '../errors.ts';

/** What is left of a page's deadline after this is the payment provider's. */
const LINE_MS = 700;

/** Lets so many work at a time; the others stand in line. */
export interface Bulkhead {
  /** @throws {ShopError} 503 when its turn has not come in 0.7 s */
  run<T>(work: () => Promise<T>): Promise<T>;
}

/**
 * Keeps a slow payment provider from stopping the whole shop: so many pages that wait for it would look like a worker that
 * has fallen behind, which refuses all others. So the time in line is a wait for the provider, and counts as one.
 *
 * @param places how many checkouts work at a time
 */
export function createBulkhead(places: number): Bulkhead {
  const semaphore = withTimeout(new Semaphore(places), LINE_MS);

  async function enter(): Promise<() => void> {
    const startedMs = performance.now();
    try {
      const [, leave] = await semaphore.acquire();
      return leave;
    } catch {
      const cause = new Error(`${places} checkouts were under way, and this one's turn did not come in ${LINE_MS} ms`);
      throw unavailable('overload', { cause });
    } finally {
      recordPayment((performance.now() - startedMs) / 1000);
    }
  }

  return {
    async run(work) {
      const leave = await enter();
      try {
        return await work();
      } finally {
        leave();
      }
    },
  };
}
