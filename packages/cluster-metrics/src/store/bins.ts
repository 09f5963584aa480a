/**
 * The bins of a summary: exponential, so that the middle of a bin is within 1 % of every value in it.
 *
 * Bin k holds the values above RATIO^(k-1) up to RATIO^k; its middle, 2·RATIO^k/(RATIO+1), is off by at most
 * (RATIO-1)/(RATIO+1) = 0.99 %: the bound of DDSketch (Masson et al., VLDB 2019). Every double has a bin, so there is no
 * range to configure. Bins are stored in chunks of 64, which are made when they are first needed: a typical latency takes
 * 3 to 8 chunks of 512 bytes.
 */
const RATIO = 1.02;
const LOG_RATIO = Math.log(RATIO);

/** Bins in a chunk. */
export const CHUNK_BINS = 64;

/** Added to bin numbers, so that none is negative: the smallest double lies in bin -37,593. */
const BIN_OFFSET = 1 << 16;

/** The highest chunk number. Negative values use the bitwise complements, so that chunks sort as their values do. */
const MAX_CHUNK = (2 * BIN_OFFSET) / CHUNK_BINS - 1;

/** The bin of a positive finite magnitude. It is stored in `chunkOf(bin)`, at `bin % CHUNK_BINS`. */
export function binOf(magnitude: number): number {
  return Math.ceil(Math.log(magnitude) / LOG_RATIO) + BIN_OFFSET;
}

/** The chunk that stores a bin: negative for negative values. */
export function chunkOf(bin: number, negative: boolean): number {
  const chunk = Math.floor(bin / CHUNK_BINS);
  return negative ? ~chunk : chunk;
}

export function isChunk(chunk: unknown): chunk is number {
  return Number.isInteger(chunk) && (chunk as number) <= MAX_CHUNK && (chunk as number) >= ~MAX_CHUNK;
}

/** The value that stands for all values of a bin. */
function middle(chunk: number, index: number): number {
  const bin = (chunk < 0 ? ~chunk : chunk) * CHUNK_BINS + index - BIN_OFFSET;
  const magnitude = Math.min((2 / (RATIO + 1)) * Math.exp(bin * LOG_RATIO), Number.MAX_VALUE);
  return chunk < 0 ? -magnitude : magnitude;
}

/** Counts of one series: `countAt(slot)` for the slots that `chunks` and `zeroSlot` name. */
export interface BinnedCounts {
  /** First slot by chunk number. */
  readonly chunks: ReadonlyMap<number, number>;
  /** Counts the observations of exactly 0. */
  readonly zeroSlot: number;
  countAt(slot: number): number;
}

/** The number of all observations. */
export function totalCount(counts: BinnedCounts): number {
  let count = counts.countAt(counts.zeroSlot);
  for (const first of counts.chunks.values()) {
    for (let index = 0; index < CHUNK_BINS; index++) count += counts.countAt(first + index);
  }
  return count;
}

/**
 * Quantiles by nearest rank: the smallest observation that at least `q` of all observations do not exceed.
 *
 * @param quantiles each from 0 to 1
 * @returns one value each, within 1 % of the exact one; NaN without observations
 */
export function quantilesOf(counts: BinnedCounts, quantiles: readonly number[]): number[] {
  const filled: [value: number, count: number][] = [];
  let total = 0;
  const add = (value: number, count: number) => {
    if (count <= 0) return;
    filled.push([value, count]);
    total += count;
  };

  const chunks = [...counts.chunks].sort(([a], [b]) => a - b);
  for (const [chunk, first] of chunks) {
    if (chunk >= 0) break;
    for (let index = CHUNK_BINS - 1; index >= 0; index--) add(middle(chunk, index), counts.countAt(first + index));
  }
  add(0, counts.countAt(counts.zeroSlot));
  for (const [chunk, first] of chunks) {
    if (chunk < 0) continue;
    for (let index = 0; index < CHUNK_BINS; index++) add(middle(chunk, index), counts.countAt(first + index));
  }

  return quantiles.map((quantile) => {
    const rank = Math.max(1, Math.ceil(quantile * total));
    let seen = 0;
    for (const [value, count] of filled) {
      seen += count;
      if (seen >= rank) return value;
    }
    return Number.NaN;
  });
}
