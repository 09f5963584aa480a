import { type Buckets, NativeCounts } from '../store/native-buckets.ts';
import { isShown, nativeSeriesOf, type View } from './exposition.ts';
import type { Labels } from './series-index.ts';

/**
 * The populated buckets of one sign, by ascending index; both arrays are as long. A bucket counts the magnitudes above
 * b^(index-1) up to b^index.
 */
export interface NativeBuckets {
  readonly indexes: Int32Array;
  readonly counts: Float64Array;
}

/**
 * One series of a native histogram, of all observations since its start.
 *
 * https://prometheus.io/docs/specs/native_histograms/
 */
export interface NativeHistogram {
  /** Of the metric; of a summary's twin, the twin's own. */
  readonly name: string;
  /** Label values by name. Frozen, and the same object at each reading, so that it can be the key of a `Map`. */
  readonly labels: Labels;
  /** From one bucket to the next, bounds grow by b = 2^(2^-schema). The same at each reading. */
  readonly schema: number;
  /** Observations of at most this magnitude are counted as zeros. */
  readonly zeroThreshold: number;
  readonly zeroCount: number;
  /** Of all observations; NaN too, which is in no bucket. */
  readonly count: number;
  readonly sum: number;
  /** Of observations above zero. */
  readonly positive: NativeBuckets;
  /** Of observations below zero. */
  readonly negative: NativeBuckets;
}

/**
 * Reads the native histograms of a view in the schema of their metric: what `maxBuckets` merges for Prometheus is not
 * merged here.
 *
 * @param names of native histograms to read. Default: all
 */
export function readNativeHistograms(view: View, names?: ReadonlySet<string>): NativeHistogram[] {
  const histograms: NativeHistogram[] = [];
  const counts = new NativeCounts();
  for (const { description, series } of view.families) {
    const { native } = description;
    if (native === undefined || names?.has(native.name) === false) continue;
    for (const each of series.values()) {
      if (!isShown(view, description, each)) continue;
      counts.read(nativeSeriesOf(view, description, each), { ...native, maxBuckets: Number.POSITIVE_INFINITY });
      histograms.push({
        name: native.name,
        labels: each.labels,
        schema: counts.schema,
        zeroThreshold: counts.zeroThreshold,
        zeroCount: counts.zeros,
        count: counts.count,
        sum: view.values[each.slot] as number,
        positive: copyOf(counts.positive),
        negative: copyOf(counts.negative),
      });
    }
  }
  return histograms;
}

function copyOf({ indexes, counts, length }: Buckets): NativeBuckets {
  return { indexes: indexes.slice(0, length), counts: counts.slice(0, length) };
}
