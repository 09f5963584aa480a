import { inspect } from 'node:util';
import { CHUNK_BINS, chunkOf, placeOf, SCHEMA } from '../store/bins.ts';
import type { LabelTuple, NativeBuckets } from '../store/description.ts';
import { COARSEST_SCHEMA } from '../store/native-buckets.ts';
import { Instrument } from './instrument.ts';

/**
 * How bins are shown as the buckets of a native histogram. The names are those of client_golang, without
 * `NativeHistogram` and `Number`.
 */
export interface NativeOptions {
  /**
   * From one bucket to the next, bounds grow by this factor at most; above 1. The bounds themselves are those of
   * Prometheus: the factor is 2^(2^-n), with n from -4 to 6. Default 2^(1/64) = 1.0109, the finest; others save space in
   * Prometheus: 1.1 means 8 buckets from each power of two to the next.
   */
  bucketFactor?: number;
  /**
   * The most populated buckets of a series. Where observations need more, pairs of neighbours are merged until they fit,
   * which doubles the width of all buckets of the series. Default 160.
   */
  maxBuckets?: number;
  /** Observations of at most this magnitude count as zero: 0 or a power of two. Default 2^-128, as in client_golang. */
  zeroThreshold?: number;
}

const DEFAULTS = { bucketFactor: 2 ** (1 / CHUNK_BINS), maxBuckets: 160, zeroThreshold: 2 ** -128 };

/**
 * @param option names it in errors
 * @throws {TypeError} for an option that does not exist or is out of its range
 */
export function nativeBuckets(name: string, given: NativeOptions, option: string): NativeBuckets {
  for (const [key, value] of Object.entries(given)) {
    if (!(key in DEFAULTS) || (value !== undefined && typeof value !== 'number')) {
      throw new TypeError(`${option} takes the numbers ${Object.keys(DEFAULTS).join(', ')}, not ${inspect(given)}`);
    }
  }
  const {
    bucketFactor = DEFAULTS.bucketFactor,
    maxBuckets = DEFAULTS.maxBuckets,
    zeroThreshold = DEFAULTS.zeroThreshold,
  } = given;
  if (!(bucketFactor > 1)) throw new TypeError(`bucketFactor must be above 1, for example 1.1: ${bucketFactor}`);
  if (!Number.isInteger(maxBuckets) || maxBuckets < 1) {
    throw new TypeError(`maxBuckets must be a whole number of buckets, for example 160: ${maxBuckets}`);
  }
  if (zeroThreshold !== 0 && !Number.isInteger(Math.log2(zeroThreshold))) {
    throw new TypeError(`zeroThreshold must be 0 or a power of two, for example 2 ** -10: ${zeroThreshold}`);
  }
  return { name, schema: schemaOf(bucketFactor), maxBuckets, zeroThreshold };
}

/** The coarsest schema whose factor, 2^(2^-schema), is at most this one. */
function schemaOf(bucketFactor: number): number {
  const schema = -Math.floor(Math.log2(Math.log2(bucketFactor)));
  return Math.min(SCHEMA, Math.max(COARSEST_SCHEMA, schema));
}

/** A series whose observations are counted in bins: its first slot, and that of each chunk of bins. */
export interface BinnedSeries {
  /** As the store keeps them. */
  readonly labels: LabelTuple;
  readonly slot: number;
  readonly chunks: Map<number, number>;
  /** The chunk of the last observation, which is often that of the next one too, and its first slot. */
  lastChunk: number;
  lastFirst: number;
}

/** The base of the metrics that may count in bins. */
export abstract class BinnedInstrument<T extends string> extends Instrument<T, BinnedSeries> {
  protected createSeries(labels: LabelTuple): BinnedSeries {
    const slot = this.store.addSeries(this.metric, labels);
    return { labels, slot, chunks: new Map(), lastChunk: Number.NaN, lastFirst: 0 };
  }

  protected slotOf({ slot }: BinnedSeries): number {
    return slot;
  }

  /**
   * The slot of a bin, see bins.ts.
   *
   * @returns `null` when the store or the disk is full: an observation without a bin must not be in the sum either
   */
  protected binSlot(series: BinnedSeries, bin: number): number | null {
    const chunk = chunkOf(bin);
    if (chunk !== series.lastChunk && !this.#findChunk(series, chunk)) return null;
    const first = series.lastFirst;
    return this.store.hasRoomFor(series.slot, first) ? first + placeOf(bin) : null;
  }

  /** Makes it the last chunk of the series. @returns false when there is no room for it */
  #findChunk(series: BinnedSeries, chunk: number): boolean {
    let first = series.chunks.get(chunk) ?? null;
    if (first === null) {
      first = this.store.addChunk(this.metric, series.labels, series.slot, chunk);
      if (first === null) return false;
      series.chunks.set(chunk, first);
    }
    series.lastChunk = chunk;
    series.lastFirst = first;
    return true;
  }
}
