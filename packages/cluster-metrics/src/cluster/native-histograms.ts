import { type Buckets, NativeCounts } from '../store/native-buckets.ts';
import { isShown, nativeSeriesOf, type View } from './exposition.ts';
import type { NativeBuckets, NativeHistogram } from './types.ts';

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
