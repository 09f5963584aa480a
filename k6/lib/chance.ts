/*
 * Random decisions of a shopper. `random` returns 0 ≤ x < 1, as `Math.random` does; tests bring their own.
 */

export type Random = () => number;

/** Picks in proportion to the weights, which are not negative. @returns undefined when there is nothing to choose from */
export function pickBy<T>(items: readonly T[], weight: (item: T) => number, random: Random): T | undefined {
  let left = random() * items.reduce((sum, item) => sum + weight(item), 0);
  for (const item of items) {
    left -= weight(item);
    if (left < 0) return item;
  }
  return items.at(-1);
}

export function pick<T>(items: readonly T[], random: Random): T | undefined {
  return pickBy(items, () => 1, random);
}

/** A product that many want has up to this many times the weight of one that few want. */
const MOST_POPULAR = 25;

/**
 * Popularity after Zipf's law: the product of rank k is 1/k as popular as the first. The rank follows from the id alone,
 * so all shoppers of all runs want the same products.
 */
export function popularity(productId: number): number {
  const rank = 1 + ((productId * 7) % MOST_POPULAR);
  return 1 / rank;
}

/** Standard deviation of the logarithm of a reading time. */
const SPREAD = 0.6;
/** A look lasts at most this many times the average. */
export const LONGEST = 4;

/**
 * How long a shopper looks at a page: log-normal, as reading times are.
 *
 * @returns in the unit of `mean`; at most four times as much
 */
export function thinkTime(mean: number, random: Random): number {
  // Box and Muller.
  const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  return Math.min(mean * Math.exp(SPREAD * normal - SPREAD ** 2 / 2), LONGEST * mean);
}
