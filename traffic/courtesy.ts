import type { Chance } from './chance.ts';

/** Waits as long as the shop asks for. All shoppers share it: the shop counts the forms of an address, which they share. */
export interface Courtesy {
  /** Resolves when a form may be posted. */
  turnToPost(): Promise<void>;
  /**
   * Notes that the shop refused a request for now. Resolves when it may be repeated, a form after its turn to post.
   *
   * @param status 429: no shopper posts for that time; 503: this shopper alone waits
   * @param retryAfterSeconds of the answer; NaN when it tells none
   */
  refused(status: 429 | 503, retryAfterSeconds: number): Promise<void>;
}

const SECOND_MS = 1_000;
const DEFAULT_SECONDS = 5;
/** Spreads the return of the shoppers that waited over this time. */
const SPREAD_MS = 5 * SECOND_MS;

/** @param wait resolves after so many milliseconds */
export function createCourtesy(chance: Chance, wait: (ms: number) => Promise<void>): Courtesy {
  let postsFromMs = 0;

  return {
    async turnToPost() {
      while (performance.now() < postsFromMs) {
        await wait(postsFromMs - performance.now() + chance.between(0, SPREAD_MS));
      }
    },

    async refused(status, retryAfterSeconds) {
      const ms = (Number.isFinite(retryAfterSeconds) ? retryAfterSeconds : DEFAULT_SECONDS) * SECOND_MS;
      if (status === 429) postsFromMs = Math.max(postsFromMs, performance.now() + ms);
      else await wait(ms + chance.between(0, SPREAD_MS));
    },
  };
}
