import { BIN_OF_ZERO, type BinnedCounts, binOf, CHUNK_BINS, chunkOf, placeOf, SCHEMA, schemaIndex } from './bins.ts';
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
  values: Float64Array,
): NativeSeriesCounts {
  return { chunks, bounds, values, zeroSlot: slot + ZEROS, nanSlot: slot + NANS, boundSlot: slot + NATIVE_HEAD };
}

/** The classic buckets: one count for each bound and one above all bounds, which has NaN too. Not cumulative. */
export function classicCounts(counts: NativeSeriesCounts): Float64Array {
  const { chunks, bounds, boundSlot, values } = counts;
  const { bins } = boundBinsOf(bounds);
  const buckets = new Float64Array(bounds.length + 1);
  for (let bucket = 0; bucket < bounds.length; bucket++) buckets[bucket] = values[boundSlot + bucket] as number;
  buckets[bounds.length] = values[counts.nanSlot] as number;
  const zeroBucket = bins.findIndex((bin) => bin >= BIN_OF_ZERO);
  const withZeros = zeroBucket === -1 ? bounds.length : zeroBucket;
  buckets[withZeros] = (buckets[withZeros] as number) + (values[counts.zeroSlot] as number);
  for (const [chunk, first] of chunks) {
    let bucket = 0;
    for (let place = 0; place < CHUNK_BINS; place++) {
      const count = values[first + place] as number;
      if (count <= 0) continue;
      // What a bin itself counts lies above the bounds within it.
      while (bucket < bins.length && (bins[bucket] as number) <= chunk * CHUNK_BINS + place) bucket++;
      buckets[bucket] = (buckets[bucket] as number) + count;
    }
  }
  return buckets;
}

/** Populated buckets of one sign, by ascending index. Bucket i of schema n holds magnitudes above b^(i-1) up to b^i. */
export class Buckets {
  /** Number of buckets; the arrays have room for more. */
  length = 0;
  #indexes = new Int32Array(2 * CHUNK_BINS);
  #counts = new Float64Array(2 * CHUNK_BINS);

  get indexes(): Int32Array {
    return this.#indexes;
  }

  get counts(): Float64Array {
    return this.#counts;
  }

  /** @param index at least that of the last bucket; if it is the same, the count is added to that bucket */
  add(index: number, count: number): void {
    const last = this.length - 1;
    if (last >= 0 && this.#indexes[last] === index) {
      this.#counts[last] = (this.#counts[last] as number) + count;
      return;
    }
    if (this.length === this.#indexes.length) this.#grow();
    this.#indexes[this.length] = index;
    this.#counts[this.length] = count;
    this.length++;
  }

  /** Merges the buckets into those of the next coarser schema, exactly: each is the sum of two whole ones. */
  lower(): void {
    const { length } = this;
    this.length = 0;
    // No bucket is written before it was read, as there are never more merged ones than former ones.
    for (let i = 0; i < length; i++) this.add(loweredIndex(this.#indexes[i] as number, 1), this.#counts[i] as number);
  }

  #grow(): void {
    const [indexes, counts] = [this.#indexes, this.#counts];
    this.#indexes = new Int32Array(2 * indexes.length);
    this.#indexes.set(indexes);
    this.#counts = new Float64Array(2 * counts.length);
    this.#counts.set(counts);
  }
}

export const COARSEST_SCHEMA = -4;

/** The buckets of a native histogram. Reads one series after another, into the same arrays. */
export class NativeCounts {
  schema = SCHEMA;
  zeroThreshold = 0;
  zeros = 0;
  /** Of all observations, NaN too, which is in no bucket. */
  count = 0;
  readonly negative = new Buckets();
  readonly positive = new Buckets();
  readonly #bins = new Float64Array(CHUNK_BINS);

  /**
   * Reads the buckets of the finest schema that needs no more populated ones than allowed; of the coarsest schema when none
   * needs so few.
   *
   * @param counts of a native histogram, or of a summary
   */
  read(
    counts: BinnedCounts & Partial<NativeSeriesCounts>,
    { schema: finest, maxBuckets, zeroThreshold }: Omit<NativeBuckets, 'name'>,
  ): void {
    const { values, zeroSlot, nanSlot } = counts;
    const { negative, positive } = this;
    const lastOfZero = zeroThreshold === 0 ? Number.NEGATIVE_INFINITY : schemaIndex(binOf(zeroThreshold));
    this.schema = finest;
    this.zeroThreshold = zeroThreshold;
    this.zeros = values[zeroSlot] as number;
    this.count = this.zeros + (nanSlot === undefined ? 0 : (values[nanSlot] as number));
    negative.length = 0;
    positive.length = 0;
    for (const chunk of chunksOf(counts)) this.#addChunk(counts, chunk, lastOfZero);
    while (negative.length + positive.length > maxBuckets && this.schema > COARSEST_SCHEMA) {
      negative.lower();
      positive.lower();
      this.schema--;
    }
  }

  #addChunk(counts: BinnedCounts & Partial<NativeSeriesCounts>, chunk: number, lastOfZero: number): void {
    const bins = this.#bins;
    readBins(counts, chunk, bins);
    const buckets = chunk < 0 ? this.negative : this.positive;
    const shift = SCHEMA - this.schema;
    const firstIndex = schemaIndex(magnitudeOf(chunk) * CHUNK_BINS);
    for (let i = 0; i < CHUNK_BINS; i++) {
      const count = bins[i] as number;
      if (count <= 0) continue;
      this.count += count;
      if (firstIndex + i <= lastOfZero) this.zeros += count;
      else buckets.add(loweredIndex(firstIndex + i, shift), count);
    }
  }
}

/** The chunks by the magnitude of their values, also those in which only the bounds have counted. */
function chunksOf({ chunks, bounds }: BinnedCounts & Partial<NativeSeriesCounts>): number[] {
  const all = new Set(chunks.keys());
  if (bounds !== undefined) for (const chunk of boundBinsOf(bounds).chunks) all.add(chunk);
  return [...all].sort((a, b) => magnitudeOf(a) - magnitudeOf(b));
}

/** The chunk of the same magnitudes above 0. */
function magnitudeOf(chunk: number): number {
  return chunk < 0 ? ~chunk : chunk;
}

/** Reads the bins of a chunk by ascending magnitude, with what the bounds within them have counted. */
function readBins(counts: BinnedCounts & Partial<NativeSeriesCounts>, chunk: number, bins: Float64Array): void {
  const { chunks, bounds, boundSlot, values } = counts;
  const first = chunks.get(chunk);
  if (first === undefined) bins.fill(0);
  else for (let place = 0; place < CHUNK_BINS; place++) bins[place] = values[first + place] as number;
  if (bounds !== undefined && boundSlot !== undefined) {
    const boundBins = boundBinsOf(bounds);
    for (const number of boundBins.within(chunk)) {
      const place = placeOf(boundBins.bins[number] as number);
      bins[place] = (bins[place] as number) + (values[boundSlot + number] as number);
    }
  }
  if (chunk < 0) bins.reverse();
}

/** @param shift by how much the schema is lowered */
function loweredIndex(index: number, shift: number): number {
  return ((index - 1) >> shift) + 1;
}
