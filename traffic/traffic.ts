import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { createBrowser, NoAnswer } from './browser.ts';
import { createChance } from './chance.ts';
import { createCourtesy } from './courtesy.ts';
import { inventPerson } from './people.ts';
import { createPopularity } from './popularity.ts';
import { createShopper, type Shopper } from './shopper.ts';
import type { Tally } from './tally.ts';

export interface TrafficOptions {
  /** Of the shop. */
  readonly url: URL;
  /** Persons at a time. */
  readonly shoppers: number;
  /** How long a shopper looks at a page, on average. */
  readonly thinkSeconds: number;
  /** The same seed makes the same persons with the same habits. */
  readonly seed: string;
}

export interface Traffic {
  online(): number;
  withCart(): number;
  /** Ends the visits. Resolves when each request has its answer. */
  end(): Promise<void>;
}

const SECOND_MS = 1_000;
/** Pause between two visits of one person, in looks at a page. */
const PAUSE = 4;

/**
 * Sends shoppers into a shop. They come one after the other, and each of them comes back after each visit.
 *
 * A shopper who looks at a page for 6 seconds posts about one form a minute. So 30 of them stay far below the 120 that the
 * shop takes from one address.
 */
export function startTraffic({ url, shoppers, thinkSeconds, seed }: TrafficOptions, tally: Tally): Traffic {
  const ending = new AbortController();
  // Each shopper waits for it.
  setMaxListeners(0, ending.signal);
  const thinkMs = thinkSeconds * SECOND_MS;
  const popularity = createPopularity(seed);
  const wait = (ms: number) => sleep(ms, undefined, { signal: ending.signal });
  const courtesy = createCourtesy(createChance(seed, 'courtesy'), wait);
  const people: Shopper[] = [];

  async function live(name: number): Promise<void> {
    const chance = createChance(seed, name);
    const think = (times: number) => wait(chance.duration(thinkMs * times));
    const browser = createBrowser({ url, tally, courtesy });
    const shopper = createShopper({ browser, chance, popularity, person: inventPerson(chance), tally, think });
    try {
      await wait(((thinkMs * PAUSE) / shoppers) * name);
      people.push(shopper);
      for (;;) {
        await shopper.visit().catch(forgive);
        await think(PAUSE);
      }
    } catch (error) {
      if (!isEnd(error)) throw error;
      // A shop that refuses the last page asks for a wait, and there is none any more.
      await shopper.leave().catch((reason) => isEnd(reason) || forgive(reason));
    } finally {
      browser.close();
    }
  }

  const isEnd = (error: unknown) => (error as Error).name === 'AbortError';

  /** A shopper who got no answer leaves, and comes back later. */
  function forgive(error: unknown): void {
    if (!(error instanceof NoAnswer)) throw error;
  }

  const lives = Array.from({ length: shoppers }, (_, name) => live(name));

  return {
    online: () => people.filter((shopper) => shopper.isOnline()).length,
    withCart: () => people.filter((shopper) => shopper.hasCart()).length,
    async end() {
      ending.abort();
      await Promise.all(lives);
    },
  };
}
