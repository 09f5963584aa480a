/*
 * The bins in which durations are counted: those of native histograms of schema 6. Runs in the primary and in the browser.
 */

export const SCHEMA = 6;

/** Requests by bin, ascending, without empty bins: bin i has those that took more than b^(i-1) and up to b^i seconds. */
export type Bins = readonly (readonly [index: number, count: number])[];

const BINS_PER_DOUBLING = 2 ** SCHEMA;
/** The bounds of a bin: 1.0109. */
const RATIO = 2 ** (1 / BINS_PER_DOUBLING);
/** Fewer would be an axis without marks. */
const FEWEST_BINS = 2 * BINS_PER_DOUBLING;

/** Seconds. */
export function upperBound(index: number): number {
  return 2 ** (index / BINS_PER_DOUBLING);
}

/** Requests that took more than `from` and up to `to` seconds. */
export interface Bar {
  readonly from: number;
  readonly to: number;
  readonly count: number;
}

/**
 * Merges neighbouring bins, each as a whole, into bars that are equally wide over a logarithmic axis.
 *
 * @param bins not empty
 * @param most at least 2
 * @returns as many bars as fit, empty ones too; each begins where the one before it ends
 */
export function barsOf(bins: Bins, most: number): Bar[] {
  const [first, last] = [bins.at(0)?.[0] ?? 0, bins.at(-1)?.[0] ?? 0];
  const missing = Math.max(0, FEWEST_BINS - (last - first + 1));
  const [low, high] = [first - Math.floor(missing / 2), last + Math.ceil(missing / 2)];
  const width = Math.ceil((high - low + 1) / (most - 1));
  const barOf = (index: number) => Math.ceil(index / width);
  const begin = barOf(low);
  const counts = Array.from({ length: barOf(high) - begin + 1 }, () => 0);
  for (const [index, count] of bins) counts[barOf(index) - begin] = (counts[barOf(index) - begin] as number) + count;
  return counts.map((count, i) => {
    const to = (begin + i) * width;
    return { from: upperBound(to - width), to: upperBound(to), count };
  });
}

/**
 * By nearest rank, as the registry's summaries: the middle of the bin of the smallest duration that at least `q` of all do
 * not exceed.
 *
 * @returns seconds, within 0.54 % of the exact ones; null without requests
 */
export function quantileOf(q: number, bins: Bins): number | null {
  const rank = Math.max(1, Math.ceil(q * countOf(bins)));
  let seen = 0;
  for (const [index, count] of bins) {
    seen += count;
    if (seen >= rank) return (2 / (RATIO + 1)) * upperBound(index);
  }
  return null;
}

export function countOf(bins: Bins): number {
  return bins.reduce((sum, [, count]) => sum + count, 0);
}
