import { decodeExemplar, type Exemplar, exemplarTime } from '../store/exemplars.ts';
import type { Series } from './series-index.ts';
import type { SlotMapping } from './slot-mapping.ts';

/** The values of one process. */
interface Source {
  readonly mapping: SlotMapping;
  readonly values: Float64Array;
}

/** Exemplars of a series by the number of their bucket. */
export type BucketExemplars = ReadonlyMap<number, Exemplar>;

/**
 * The exemplars of several processes: of each bucket, the newest one that could be read whole.
 *
 * @returns finds those of a series. All are read at its first call, since most pages have none.
 */
export function newestExemplars(sources: () => Iterable<Source>): (series: Series) => BucketExemplars | undefined {
  let found: Map<Series, Map<number, Exemplar>> | undefined;
  return (series) => {
    found ??= readAll(sources());
    return found.get(series);
  };
}

function readAll(sources: Iterable<Source>): Map<Series, Map<number, Exemplar>> {
  const newest = new Map<Series, Map<number, Exemplar>>();
  for (const { mapping, values } of sources) {
    for (const { series, bucket, from, length } of mapping.exemplars) {
      const ofSeries = newest.get(series) ?? new Map<number, Exemplar>();
      // Decoding takes longer than to compare the times, and most are not the newest.
      if (exemplarTime(values, from) <= (ofSeries.get(bucket)?.timestampMs ?? 0)) continue;
      const exemplar = decodeExemplar(values, from, length);
      if (exemplar !== null) newest.set(series, ofSeries.set(bucket, exemplar));
    }
  }
  return newest;
}
