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

/** An exemplar of one process. */
interface Candidate {
  readonly values: Float64Array;
  readonly from: number;
  readonly length: number;
  readonly timestampMs: number;
}

type Candidates = Map<Series, Map<number, Candidate[]>>;

/**
 * The exemplars of several processes: of each bucket, the newest one that could be read whole.
 *
 * @returns finds those of a series. The sources are asked at its first call, since most pages have no exemplars.
 */
export function newestExemplars(sources: () => Iterable<Source>): (series: Series) => BucketExemplars | undefined {
  let candidates: Candidates | undefined;
  return (series) => {
    candidates ??= collect(sources());
    const ofSeries = candidates.get(series);
    return ofSeries && new Map(Array.from(ofSeries).flatMap(([bucket, all]) => newestOf(all, bucket)));
  };
}

function collect(sources: Iterable<Source>): Candidates {
  const candidates: Candidates = new Map();
  for (const { mapping, values } of sources) {
    for (const { series, bucket, from, length } of mapping.exemplars) {
      const timestampMs = exemplarTime(values, from);
      if (timestampMs === 0) continue;
      const ofSeries = candidates.get(series) ?? new Map<number, Candidate[]>();
      candidates.set(series, ofSeries);
      const ofBucket = ofSeries.get(bucket);
      const candidate = { values, from, length, timestampMs };
      if (ofBucket === undefined) ofSeries.set(bucket, [candidate]);
      else ofBucket.push(candidate);
    }
  }
  return candidates;
}

/** To decode one takes longer than to compare the times of all. */
function newestOf(candidates: Candidate[], bucket: number): [bucket: number, exemplar: Exemplar][] {
  candidates.sort((a, b) => b.timestampMs - a.timestampMs);
  for (const { values, from, length } of candidates) {
    const exemplar = decodeExemplar(values, from, length);
    if (exemplar !== null) return [[bucket, exemplar]];
  }
  return [];
}
