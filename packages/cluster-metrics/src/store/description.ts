/** How a gauge's values of several processes become one, in prom-client's words. */
export type Aggregator = 'omit' | 'sum' | 'first' | 'min' | 'max' | 'average';

export type InstrumentType = 'counter' | 'gauge' | 'histogram' | 'summary';

/** How a metric's bins are shown as a native histogram, in protobuf alone. */
export interface NativeBuckets {
  /** Name of the native histogram: the metric's own, or that of a summary's twin. */
  readonly name: string;
  /** The finest schema to show, from -4 to 6: from one bucket to the next, bounds grow by 2^(2^-schema). */
  readonly schema: number;
  /** The most populated buckets of a series. Where there would be more, the schema is lowered. */
  readonly maxBuckets: number;
  /** Observations of at most this magnitude are shown in the zero bucket. 0 or a power of two. */
  readonly zeroThreshold: number;
}

/** Everything that is needed to merge and print a metric. */
export interface Description {
  readonly name: string;
  readonly help: string;
  readonly type: InstrumentType;
  /** How the values of several workers become one. Only a gauge may choose; every other type is summed. */
  readonly aggregator: Aggregator;
  readonly labelNames: readonly string[];
  /** Upper bounds of a histogram, ascending, without +Inf. */
  readonly buckets?: readonly number[];
  /** Quantiles of a summary, each from 0 to 1. */
  readonly quantiles?: readonly number[];
  /** Length of the sliding window of a summary's quantiles. */
  readonly maxAgeSeconds?: number;
  /** Of a histogram that counts in bins, and of a summary that has a native twin. */
  readonly native?: NativeBuckets;
}

/** One label value per label name, in the description's order; `null` where the label is absent. */
export type LabelTuple = readonly (string | null)[];

/** A metric's entry in a store's directory. Metrics are numbered in the order of their entries. */
export interface MetricRecord {
  readonly kind: 'metric';
  readonly description: Description;
}

/** Start of a series whose values were never 0 here: they go on from a total that was counted elsewhere. */
export const UNKNOWN_START = 0;

/** A series' entry in a store's directory. Its values are the `slotsOf` float64 values from `slot` on. */
export interface SeriesRecord {
  readonly kind: 'series';
  /** Number of the metric. */
  readonly metric: number;
  readonly labels: LabelTuple;
  readonly slot: number;
  /** A time at which the values of the series were 0: milliseconds since 1970; or `UNKNOWN_START`. Left out for a chunk. */
  readonly startMs?: number;
  /** A further piece of a series of a summary or a native histogram: the bins of this chunk, see bins.ts. */
  readonly chunk?: number;
}

/**
 * The entry of a series that its process has removed at least once: the value at `slot` is 1 while it is removed. Written
 * at the first removal, so that a store without removals has none.
 */
export interface RemovalRecord {
  readonly kind: 'removal';
  /** Number of the metric. */
  readonly metric: number;
  readonly labels: LabelTuple;
  readonly slot: number;
}

/**
 * The entry of the exemplar of one bucket: the `length` values from `slot` on, see exemplars.ts. A later entry for the same
 * bucket replaces it, where a longer exemplar has found no room in the values of the earlier one.
 */
export interface ExemplarRecord {
  readonly kind: 'exemplar';
  /** The first slot of the series. */
  readonly series: number;
  /** Number of the bucket, from 0; 0 for a counter. */
  readonly bucket: number;
  readonly slot: number;
  readonly length: number;
}

export type DirectoryRecord = MetricRecord | SeriesRecord | RemovalRecord | ExemplarRecord;

/**
 * The difference for which the values of two metrics of one name can't be added. Other differences only change how they are
 * shown: help, order of the labels, quantiles, length of the window, aggregator, resolution of native buckets.
 *
 * @returns `null` when nothing does
 */
export function shapeDifference(
  a: Description,
  b: Description,
): 'type' | 'label names' | 'buckets' | 'native buckets' | null {
  if (a.type !== b.type) return 'type';
  if ([...a.labelNames].sort().join() !== [...b.labelNames].sort().join()) return 'label names';
  if (a.buckets?.join() !== b.buckets?.join()) return 'buckets';
  return hasBins(a) === hasBins(b) ? null : 'native buckets';
}

/** Whether the observations of a metric are counted in bins, see bins.ts. */
export function hasBins({ type, native }: Description): boolean {
  return type === 'summary' || (type === 'histogram' && native !== undefined);
}
