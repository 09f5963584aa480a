/** How a gauge's values of several processes become one, in prom-client's words. */
export type Aggregator = 'omit' | 'sum' | 'first' | 'min' | 'max' | 'average';

export type InstrumentType = 'counter' | 'gauge' | 'histogram' | 'summary';

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
}

/** One label value per label name, in the description's order; `null` where the label is absent. */
export type LabelTuple = readonly (string | null)[];

/** A metric's entry in a store's directory. Metrics are numbered in the order of their entries. */
export interface MetricRecord {
  readonly kind: 'metric';
  readonly description: Description;
}

/** A series' entry in a store's directory. Its values are the `slotsOf` float64 values from `slot` on. */
export interface SeriesRecord {
  readonly kind: 'series';
  /** Number of the metric. */
  readonly metric: number;
  readonly labels: LabelTuple;
  readonly slot: number;
  /** A further piece of a summary's series: the bins of this chunk, see bins.ts. */
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

export type DirectoryRecord = MetricRecord | SeriesRecord | RemovalRecord;

/**
 * The difference for which the values of two metrics of one name can't be added. Other differences only change how they are
 * shown: help, order of the labels, quantiles, length of the window, aggregator.
 *
 * @returns `null` when nothing does
 */
export function shapeDifference(a: Description, b: Description): 'type' | 'label names' | 'buckets' | null {
  if (a.type !== b.type) return 'type';
  if ([...a.labelNames].sort().join() !== [...b.labelNames].sort().join()) return 'label names';
  return a.buckets?.join() === b.buckets?.join() ? null : 'buckets';
}
