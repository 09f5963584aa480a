import { createHash } from 'node:crypto';

/** Random decisions: the same seed makes the same ones. */
export interface Chance {
  /** True with this probability, 0 to 1. */
  happens(probability: number): boolean;
  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number;
  /** @throws when there is nothing to choose from */
  pick<T>(items: readonly T[]): T;
  /** Picks in proportion to the weights, which are not negative. @throws when there is nothing to choose from */
  pickBy<T>(items: readonly T[], weight: (item: T) => number): T;
  /**
   * How long a person looks at a page: log-normal, as reading times are, with a few long ones.
   *
   * @returns in the unit of `mean`; at most six times as much
   */
  duration(mean: number): number;
}

/** Standard deviation of the logarithm of a reading time. */
const SPREAD = 0.6;
const LONGEST = 6;

export function createChance(...seed: readonly (string | number)[]): Chance {
  let state = createHash('sha256').update(JSON.stringify(seed)).digest().readUInt32LE();

  /** Mulberry32: 0 ≤ x < 1. */
  function next(): number {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** Of the standard normal distribution, by Box and Muller. */
  function normal(): number {
    return Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
  }

  function pickBy<T>(items: readonly T[], weight: (item: T) => number): T {
    let left = next() * items.reduce((sum, item) => sum + weight(item), 0);
    for (const item of items) {
      left -= weight(item);
      if (left < 0) return item;
    }
    const last = items.at(-1);
    if (last === undefined) throw new RangeError('there is nothing to choose from');
    return last;
  }

  return {
    happens: (probability) => next() < probability,
    between: (low, high) => low + Math.floor(next() * (high - low + 1)),
    pick: (items) => pickBy(items, () => 1),
    pickBy,
    duration: (mean) => Math.min(mean * Math.exp(SPREAD * normal() - SPREAD ** 2 / 2), LONGEST * mean),
  };
}
