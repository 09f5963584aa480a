import { type BinnedCounts, binOf, CHUNK_BINS, chunkOf, placeOf, SCHEMA, schemaIndex } from './bins.ts';
import type { NativeBuckets } from './description.ts';

/*
 * A native histogram counts each observation once, in the bins of bins.ts. Its classic buckets are computed from the same
 * counts, so the two never disagree. For that, a bin that a bound of a classic bucket lies in is cut there: observations
 * of that bin up to the bound are counted in a value of the bound's own.
 */

/** Values of a series before those of its bounds: the sum, the count of zeros, the count of NaN. */
export const NATIVE_HEAD = 3;
/** Where they begin within the series. */
export const ZEROS = 1;
export const NANS = 2;

/** The place of the zeros among the bins. */
const BIN_OF_ZERO = -0.5;

/** The bins that the bounds of a histogram's classic buckets lie in. */
export class BoundBins {
  /** The bin of each bound. */
  readonly bins: readonly number[];
  /** The numbers of the bounds in each chunk. */
  readonly #byChunk = new Map<number, number[]>();

  constructor(bounds: readonly number[]) {
    this.bins = bounds.map((bound) => (bound === 0 ? BIN_OF_ZERO : binOf(bound)));
    for (const [number, bin] of this.bins.entries()) {
      if (bin === BIN_OF_ZERO) continue;
      const chunk = chunkOf(bin);
      this.#byChunk.set(chunk, [...(this.#byChunk.get(chunk) ?? []), number]);
    }
  }

  /** The chunks that bounds lie in. */
  get chunks(): Iterable<number> {
    return this.#byChunk.keys();
  }

  /** The numbers of the bounds in a chunk. */
  within(chunk: number): readonly number[] {
    return this.#byChunk.get(chunk) ?? [];
  }
}

const known = new WeakMap<readonly number[], BoundBins>();

/** The bins of these bounds; computed once for each array. */
export function boundBinsOf(bounds: readonly number[]): BoundBins {
  let bins = known.get(bounds);
  if (bins === undefined) {
    bins = new BoundBins(bounds);
    known.set(bounds, bins);
  }
  return bins;
}

/** Counts of one series of a native histogram. */
export interface NativeSeriesCounts extends BinnedCounts {
  readonly bounds: readonly number[];
  readonly nanSlot: number;
  /** The count of the first bound. */
  readonly boundSlot: number;
}

/** The counts of a series whose first value is at `slot`. */
export function nativeSeriesCounts(
  slot: number,
  chunks: ReadonlyMap<number, number>,
  bounds: readonly number[],
  countAt: (slot: number) => number,
): NativeSeriesCounts {
  return { chunks, bounds, countAt, zeroSlot: slot + ZEROS, nanSlot: slot + NANS, boundSlot: slot + NATIVE_HEAD };
}

/** The classic buckets: one count for each bound and one above all bounds, which has NaN too. Not cumulative. */
export function classicCounts(counts: NativeSeriesCounts): number[] {
  const { chunks, bounds, boundSlot, countAt } = counts;
  const { bins } = boundBinsOf(bounds);
  const buckets = Array.from({ length: bounds.length + 1 }, (_, bucket) =>
    bucket < bounds.length ? countAt(boundSlot + bucket) : countAt(counts.nanSlot),
  );
  const zeroBucket = bins.findIndex((bin) => bin >= BIN_OF_ZERO);
  const withZeros = zeroBucket === -1 ? bounds.length : zeroBucket;
  buckets[withZeros] = (buckets[withZeros] as number) + countAt(counts.zeroSlot);
  for (const [chunk, first] of chunks) {
    let bucket = 0;
    for (let place = 0; place < CHUNK_BINS; place++) {
      const count = countAt(first + place);
      if (count <= 0) continue;
      // What a bin itself counts lies above the bounds within it.
      while (bucket < bins.length && (bins[bucket] as number) <= chunk * CHUNK_BINS + place) bucket++;
      buckets[bucket] = (buckets[bucket] as number) + count;
    }
  }
  return buckets;
}

/** Populated buckets of one sign, by ascending index. Bucket i of schema n holds magnitudes above b^(i-1) up to b^i. */
export interface Buckets {
  indexes: number[];
  counts: number[];
}

export interface NativeCounts {
  schema: number;
  zeroThreshold: number;
  zeros: number;
  negative: Buckets;
  positive: Buckets;
  /** Of all observations, NaN too, which is in no bucket. */
  count: number;
}

export const COARSEST_SCHEMA = -4;

/**
 * The buckets of a native histogram: those of the finest schema that needs no more populated ones than allowed.
 *
 * @param counts of a native histogram, or of a summary
 */
export function nativeCounts(
  counts: BinnedCounts & Partial<NativeSeriesCounts>,
  { schema: finest, maxBuckets, zeroThreshold }: Omit<NativeBuckets, 'name'>,
): NativeCounts {
  const { countAt, nanSlot } = counts;
  const negative = newBuckets();
  const positive = newBuckets();
  const lastOfZero = zeroThreshold === 0 ? Number.NEGATIVE_INFINITY : schemaIndex(binOf(zeroThreshold));
  let zeros = countAt(counts.zeroSlot);
  const bins = new Float64Array(CHUNK_BINS);
  for (const chunk of chunksOf(counts)) {
    readBins(counts, chunk, bins);
    const { indexes, counts: amounts } = chunk < 0 ? negative : positive;
    for (let place = 0; place < CHUNK_BINS; place++) {
      const count = bins[place] as number;
      if (count <= 0) continue;
      const index = schemaIndex(chunk * CHUNK_BINS + place);
      if (index <= lastOfZero) {
        zeros += count;
      } else {
        indexes.push(index);
        amounts.push(count);
      }
    }
  }
  negative.indexes.reverse();
  negative.counts.reverse();
  const schema = schemaWithin(maxBuckets, finest, negative.indexes, positive.indexes);
  const total = (sum: number, count: number) => sum + count;
  const count =
    negative.counts.reduce(total, zeros) +
    positive.counts.reduce(total, 0) +
    (nanSlot === undefined ? 0 : countAt(nanSlot));
  return { schema, zeroThreshold, zeros, count, negative: lower(negative, schema), positive: lower(positive, schema) };
}

function newBuckets(): Buckets {
  return { indexes: [], counts: [] };
}

/** The chunks in the order of their values, also those in which only the bounds have counted. */
function chunksOf({ chunks, bounds }: BinnedCounts & Partial<NativeSeriesCounts>): number[] {
  const all = new Set(chunks.keys());
  if (bounds !== undefined) for (const chunk of boundBinsOf(bounds).chunks) all.add(chunk);
  return [...all].sort((a, b) => a - b);
}

/** Reads the bins of a chunk, with what the bounds within them have counted. */
function readBins(counts: BinnedCounts & Partial<NativeSeriesCounts>, chunk: number, bins: Float64Array): void {
  const { chunks, bounds, boundSlot, countAt } = counts;
  const first = chunks.get(chunk);
  for (let place = 0; place < CHUNK_BINS; place++) bins[place] = first === undefined ? 0 : countAt(first + place);
  if (bounds === undefined || boundSlot === undefined) return;
  const boundBins = boundBinsOf(bounds);
  for (const number of boundBins.within(chunk)) {
    const place = placeOf(boundBins.bins[number] as number);
    bins[place] = (bins[place] as number) + countAt(boundSlot + number);
  }
}

/** The finest schema with no more populated buckets than allowed; the coarsest when none has so few. */
function schemaWithin(maxBuckets: number, finest: number, ...signs: readonly number[][]): number {
  let schema = finest;
  const populated = () => signs.reduce((sum, indexes) => sum + countDistinct(indexes, SCHEMA - schema), 0);
  while (schema > COARSEST_SCHEMA && populated() > maxBuckets) schema--;
  return schema;
}

function countDistinct(indexes: readonly number[], shift: number): number {
  let count = 0;
  let last: number | undefined;
  for (const index of indexes) {
    const lowered = loweredIndex(index, shift);
    if (lowered !== last) count++;
    last = lowered;
  }
  return count;
}

/** Merges buckets of the bins' schema into those of a coarser one, exactly: each coarser bucket is the sum of whole ones. */
function lower({ indexes, counts }: Buckets, schema: number): Buckets {
  const merged = newBuckets();
  for (const [i, index] of indexes.entries()) {
    const lowered = loweredIndex(index, SCHEMA - schema);
    const last = merged.indexes.length - 1;
    const count = counts[i] as number;
    if (merged.indexes[last] === lowered) {
      merged.counts[last] = (merged.counts[last] as number) + count;
    } else {
      merged.indexes.push(lowered);
      merged.counts.push(count);
    }
  }
  return merged;
}

/** @param shift by how much the schema is lowered */
function loweredIndex(index: number, shift: number): number {
  return ((index - 1) >> shift) + 1;
}
