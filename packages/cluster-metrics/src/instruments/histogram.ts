import { inspect } from 'node:util';
import { binOf } from '../store/bins.ts';
import {
  type BoundBins,
  boundBinsOf,
  classicCounts,
  NANS,
  NATIVE_HEAD,
  nativeSeriesCounts,
  ZEROS,
} from '../store/native-buckets.ts';
import { addTo } from '../store/sums.ts';
import { BinnedInstrument, type BinnedSeries, type NativeOptions, nativeBuckets } from './binned.ts';
import { checkBuckets } from './checks.ts';
import { exemplarData, refuseExemplar } from './exemplar-labels.ts';
import {
  checkObservation,
  isLabels,
  type JsonValue,
  type MetricConfiguration,
  NO_LABELS,
  startTimer,
} from './instrument.ts';
import type { CollectFunction, LabelValues, ObserveDataWithExemplar } from './types.ts';

export interface HistogramConfiguration<T extends string> extends MetricConfiguration<T> {
  collect?: CollectFunction<Histogram<T>>;
  /** Upper bounds, ascending, without +Inf. Default: prom-client's, 5 ms to 10 s. */
  buckets?: readonly number[];
  /**
   * Whether it is also a native histogram, beside its classic buckets: for scrapers that ask for protobuf. Default false.
   *
   * A native histogram counts `NaN`, in the count and the sum, and the infinities, where others refuse them: as
   * client_golang does.
   */
  native?: boolean | NativeOptions;
}

const DEFAULT_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** prom-client's Histogram without `reset`: counts observations in buckets, over all workers that ever lived. */
export class Histogram<T extends string = string> extends BinnedInstrument<T> {
  readonly buckets: readonly number[];
  /** Of a native histogram. */
  readonly #boundBins: BoundBins | null;

  /**
   * @throws {Error} when `le` is a label name, or the buckets are not finite and ascending
   * @throws {TypeError} when an option of `native` is wrong
   */
  constructor(options: HistogramConfiguration<T>) {
    const given = options?.buckets ?? DEFAULT_BUCKETS;
    if ((options?.labelNames as readonly string[] | undefined)?.includes('le')) {
      throw new Error('le is a reserved label keyword');
    }
    checkBuckets(given);
    const buckets = [...given];
    const native = options?.native ?? false;
    if (typeof native !== 'boolean' && (typeof native !== 'object' || native === null)) {
      throw new TypeError(`native must be true, false or an object of options: ${inspect(native)}`);
    }
    super(options, {
      type: 'histogram',
      aggregator: 'sum',
      buckets,
      ...(native !== false && { native: nativeBuckets(options.name, native === true ? {} : native, 'native') }),
    });
    this.buckets = buckets;
    this.#boundBins = native === false ? null : boundBinsOf(buckets);
    this.declareUnlabelled();
  }

  /**
   * @param exemplarLabels of the exemplar that takes the place of the last one of the bucket; needs `enableExemplars`
   * @throws {TypeError} when the value is no number; when it is not finite, unless the histogram is native
   * @throws {Error} when a label does not belong to the metric
   * @throws {RangeError} when names and values of `exemplarLabels` have more than 128 characters together; it is counted
   */
  observe(labels: LabelValues<T>, value: number, exemplarLabels?: LabelValues<string>): void;
  observe(value: number): void;
  /** prom-client's form; needs `enableExemplars`, and is the only one of one object then. */
  observe(data: ObserveDataWithExemplar<T>): void;
  observe(labelsOrValue: unknown, value?: number, exemplarLabels?: LabelValues<string>): void {
    if (!isLabels(labelsOrValue)) {
      // As in prom-client, missing labels mean none, and the value follows.
      const given = labelsOrValue || labelsOrValue === 0 ? labelsOrValue : (value ?? labelsOrValue);
      this.#observe(NO_LABELS, given, exemplarLabels);
    } else if (this.hasExemplars && value === undefined) {
      const { labels, value, exemplarLabels } = exemplarData(labelsOrValue, 'observe');
      this.#observe(labels ?? NO_LABELS, value, exemplarLabels);
    } else {
      this.#observe(labelsOrValue, value, exemplarLabels);
    }
  }

  /**
   * The returned function observes the seconds since the start, and returns them.
   *
   * @param exemplarLabels those given here and those given to the returned function are one exemplar's, as for `observe`
   */
  startTimer(
    labels?: LabelValues<T>,
    exemplarLabels?: LabelValues<string>,
  ): (endLabels?: LabelValues<T>, endExemplarLabels?: LabelValues<string>) => number {
    return startTimer(labels, (all, seconds, endExemplarLabels) => {
      const isGiven = exemplarLabels !== undefined || endExemplarLabels !== undefined;
      this.#observe(all, seconds, isGiven ? { ...exemplarLabels, ...endExemplarLabels } : undefined);
    });
  }

  /** The series of these labels: an object, or the values in the order of the label names. */
  labels(labels: LabelValues<T>): Histogram.Internal<T>;
  labels(...values: (string | number)[]): Histogram.Internal<T>;
  labels(...args: (LabelValues<T> | string | number)[]): Histogram.Internal<T> {
    const labels = this.labelsFrom(args);
    const series = this.series.finder(labels);
    return {
      observe: (value, exemplarLabels) => {
        this.#check(value);
        this.#observeAt(series(), value, exemplarLabels);
      },
      startTimer: (exemplarLabels) => this.startTimer(labels, exemplarLabels),
    };
  }

  #observe(labels: LabelValues<string>, value: unknown, exemplarLabels: LabelValues<string> | undefined): void {
    if (typeof value !== 'number') refuseExemplar(this.labelNames, labels, 'observe');
    this.#check(value);
    this.#observeAt(this.seriesAt(labels), value, exemplarLabels);
  }

  #check(value: unknown): asserts value is number {
    if (this.#boundBins === null || typeof value !== 'number') checkObservation(value);
  }

  #observeAt(series: BinnedSeries, value: number, exemplarLabels: LabelValues<string> | undefined): void {
    const { slot } = series;
    const bucket =
      this.#boundBins === null ? slot + 1 + this.#bucketOf(value) : this.#nativeSlot(series, this.#boundBins, value);
    if (bucket === null) return;
    const { values, rests } = this.store;
    addTo(values, rests, slot, value);
    values[bucket] = (values[bucket] as number) + 1;
    this.touch(slot);
    this.touch(bucket);
    // NaN is in no bucket.
    if (exemplarLabels !== undefined && !Number.isNaN(value)) {
      this.keepExemplar(slot, this.#bucketOf(value), exemplarLabels, value);
    }
  }

  /** @returns `null` when a chunk of bins finds no room */
  #nativeSlot(series: BinnedSeries, { bins }: BoundBins, value: number): number | null {
    if (value === 0) return series.slot + ZEROS;
    if (Number.isNaN(value)) return series.slot + NANS;
    const bin = binOf(value);
    const bucket = this.#bucketOf(value);
    // Up to a bound within its bin, the bound has the count.
    if (bins[bucket] === bin) return series.slot + NATIVE_HEAD + bucket;
    return this.binSlot(series, bin);
  }

  #bucketOf(value: number): number {
    let index = 0;
    while (index < this.buckets.length && value > (this.buckets[index] as number)) index++;
    return index;
  }

  protected valuesOf({ slot, chunks }: BinnedSeries, labels: Record<string, string>): JsonValue[] {
    const { values } = this.store;
    const counts =
      this.#boundBins === null
        ? values.subarray(slot + 1, slot + 2 + this.buckets.length)
        : classicCounts(nativeSeriesCounts(slot, chunks, this.buckets, values));
    let count = 0;
    const buckets = [...this.buckets, '+Inf'].map((le, index) => {
      count += counts[index] as number;
      const sample = { labels: { le, ...labels }, value: count, metricName: `${this.name}_bucket` };
      return this.hasExemplars ? this.withExemplar({ ...sample, exemplar: null }, slot, index) : sample;
    });
    return [
      ...buckets,
      { labels, value: values[slot] as number, metricName: `${this.name}_sum` },
      { labels, value: count, metricName: `${this.name}_count` },
    ];
  }
}

export declare namespace Histogram {
  /** One series of a histogram. */
  interface Internal<T extends string> {
    /** @param exemplarLabels as for `observe` of the histogram */
    observe(value: number, exemplarLabels?: LabelValues<string>): void;
    startTimer(
      exemplarLabels?: LabelValues<string>,
    ): (endLabels?: LabelValues<T>, endExemplarLabels?: LabelValues<string>) => number;
  }
}
