import type { NativeHistogram } from '@techcommerce/cluster-metrics';
import { type Bins, SCHEMA } from './bins.ts';

const MINUTE_MS = 60 * 1000;

/** Steps are kept as they were read for 5 minutes, and the step in which those begin. */
const FINE_MS = 5.5 * MINUTE_MS;
/** By the minute: 6 hours, and the minute in which they begin. */
const COARSE_STEPS = 6 * 60 + 1;

/** The first bin also has what took less, about a microsecond, and the last one what took more than an hour. */
const LOWEST = -1279;
const HIGHEST = 768;
const BINS = HIGHEST - LOWEST + 1;

/** Observations from one reading to the next, or of a minute. */
interface Step {
  /** By the monotonic clock; 0 is the start of the process, when nothing was counted. */
  readonly beginMs: number;
  readonly endMs: number;
  /** Pairs: the place of a bin among those of all routes, and how many requests were added to it. */
  readonly growth: Int32Array;
}

/** How long the requests of a window took. */
export interface DurationsWindow {
  /** By the monotonic clock; both are 0 before the first reading. */
  readonly beginMs: number;
  readonly endMs: number;
  /** Of all methods and statuses. Empty for a route without requests. */
  binsOf(route: string): Bins;
}

/**
 * How long requests took, in the bins of the native histogram: the observations from one reading to the next for 5 minutes,
 * and by the minute for 6 hours.
 *
 * A step takes 8 bytes for each bin in which a request was counted, so 8 bytes a request at most: 0.8 MB for 5 minutes of
 * 300 requests a second. In a minute, a busy route fills some 100 bins: 24 of them take 7 MB in 6 hours. The totals take
 * 32 KB a route.
 */
export class Durations {
  readonly #places = new Map<string, number>();
  /** By place. */
  #totals = new Float64Array(0);
  /** Room for the totals of the next reading. */
  #next = new Float64Array(0);
  readonly #fine: Step[] = [];
  readonly #coarse: Step[] = [];
  /** Windows that end at the last step, by length. */
  readonly #windows = new Map<number, DurationsWindow>();

  /** When the last reading was, by the monotonic clock; 0 before the first. */
  get latestMs(): number {
    return this.#fine.at(-1)?.endMs ?? 0;
  }

  /**
   * Adds a reading.
   *
   * @param histograms all series of a histogram of seconds with the label `route`
   * @param monoMs `performance.now()`, later than that of the last reading
   */
  push(histograms: readonly NativeHistogram[], monoMs: number): void {
    this.#count(histograms);
    const growth = pairsOf(this.#next, this.#totals);
    [this.#totals, this.#next] = [this.#next, this.#totals];
    this.#fine.push({ beginMs: this.latestMs, endMs: monoMs, growth });
    this.#windows.clear();
    const coarseEndMs = this.#coarse.at(-1)?.endMs ?? 0;
    if (monoMs >= coarseEndMs + MINUTE_MS) {
      const steps = this.#fine.filter(({ endMs }) => endMs > coarseEndMs);
      this.#coarse.push({ beginMs: coarseEndMs, endMs: monoMs, growth: this.#sum(steps) });
      if (this.#coarse.length > COARSE_STEPS) this.#coarse.shift();
    }
    // Last: after a long pause, the minute before it is in the steps that leave now.
    while ((this.#fine[0] as Step).endMs < monoMs - FINE_MS) this.#fine.shift();
  }

  /**
   * The window that ends at the last reading. It consists of whole steps, so it is longer by up to a step: by a minute if
   * it is longer than 5 minutes. It begins at the start of the process while that is shorter ago.
   */
  window(windowMs: number): DurationsWindow {
    const window = this.#windows.get(windowMs) ?? this.#windowOf(windowMs);
    this.#windows.set(windowMs, window);
    return window;
  }

  #windowOf(windowMs: number): DurationsWindow {
    const endMs = this.latestMs;
    const steps = this.#stepsSince(endMs - windowMs);
    const growth = this.#sum(steps);
    return { beginMs: steps[0]?.beginMs ?? 0, endMs, binsOf: (route) => binsAt(this.#places.get(route), growth) };
  }

  #stepsSince(beginMs: number): Step[] {
    const isInside = ({ endMs }: Step) => endMs > beginMs;
    if ((this.#fine[0]?.beginMs ?? 0) <= beginMs) return this.#fine.filter(isInside);
    const coarseEndMs = this.#coarse.at(-1)?.endMs ?? 0;
    return [...this.#coarse, ...this.#fine.filter(({ endMs }) => endMs > coarseEndMs)].filter(isInside);
  }

  /** Reads the totals into `#next`. */
  #count(histograms: readonly NativeHistogram[]): void {
    for (const { labels } of histograms) {
      const { route = '' } = labels;
      if (!this.#places.has(route)) this.#places.set(route, this.#places.size * BINS);
    }
    const size = this.#places.size * BINS;
    if (this.#next.length < size) this.#next = new Float64Array(size);
    else this.#next.fill(0);
    for (const { labels, schema, zeroCount, positive } of histograms) {
      const place = this.#places.get(labels.route ?? '') as number;
      // A bin of a coarser schema is counted at its upper bound.
      const scale = 2 ** (SCHEMA - schema);
      addTo(this.#next, place, zeroCount);
      for (const [i, index] of positive.indexes.entries()) {
        const bin = Math.min(Math.max(index * scale, LOWEST), HIGHEST);
        addTo(this.#next, place + bin - LOWEST, positive.counts[i] as number);
      }
    }
  }

  #sum(steps: readonly Step[]): Int32Array {
    const sums = new Float64Array(this.#totals.length);
    for (const { growth } of steps) {
      for (let i = 0; i < growth.length; i += 2) addTo(sums, growth[i] as number, growth[i + 1] as number);
    }
    return pairsOf(sums);
  }
}

function addTo(counts: Float64Array, place: number, count: number): void {
  counts[place] = (counts[place] as number) + count;
}

/** @param before counts that are subtracted; those beyond its end are 0 */
function pairsOf(counts: Float64Array, before = new Float64Array(0)): Int32Array {
  const pairs: number[] = [];
  for (let place = 0; place < counts.length; place++) {
    const grown = (counts[place] as number) - (before[place] ?? 0);
    if (grown > 0) pairs.push(place, grown);
  }
  return Int32Array.from(pairs);
}

/** @param place of a route's first bin; undefined for a route that was never counted */
function binsAt(place: number | undefined, growth: Int32Array): Bins {
  const bins: [number, number][] = [];
  if (place === undefined) return bins;
  for (let i = 0; i < growth.length; i += 2) {
    const bin = (growth[i] as number) - place;
    if (bin >= 0 && bin < BINS) bins.push([bin + LOWEST, growth[i + 1] as number]);
  }
  return bins;
}
