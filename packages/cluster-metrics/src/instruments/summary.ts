import { inspect } from 'node:util';
import { binOf, quantilesOf, totalCount } from '../store/bins.ts';
import type { NativeBuckets } from '../store/description.ts';
import { addTo } from '../store/sums.ts';
import { BinnedInstrument, type BinnedSeries, type NativeOptions, nativeBuckets } from './binned.ts';
import { checkPercentiles, isMetricName } from './checks.ts';
import {
  checkObservation,
  isLabels,
  type JsonValue,
  type MetricConfiguration,
  NO_LABELS,
  startTimer,
} from './instrument.ts';
import type { CollectFunction, LabelValues, MetricObjectWithValues, MetricValueWithName } from './types.ts';

export interface SummaryConfiguration<T extends string> extends MetricConfiguration<T> {
  collect?: CollectFunction<Summary<T>>;
  /** The quantiles to show, each from 0 to 1. Default: prom-client's. */
  percentiles?: readonly number[];
  /** The quantiles are those of the last so many seconds. Default 300. */
  maxAgeSeconds?: number;
  /**
   * Name of a native histogram that shows the same observations, in protobuf alone. Unlike quantiles, Prometheus can add
   * up the histograms of several instances. It costs nothing more to observe. Default: none.
   */
  nativeHistogram?: string | ({ name: string } & NativeOptions);
  /** Without effect: the window slides by a sixtieth of its length. */
  ageBuckets?: number;
  /** Without effect: the quantiles of an empty window are NaN. */
  pruneAgedBuckets?: boolean;
  /** Without effect: the bins have no need to be compressed. */
  compressCount?: number;
}

const DEFAULT_PERCENTILES = [0.01, 0.05, 0.5, 0.9, 0.95, 0.99, 0.999];
const DEFAULT_MAX_AGE_SECONDS = 300;

/**
 * prom-client's Summary without `reset`: quantiles of all workers' observations together, within 0.54 % of the exact value.
 *
 * The primary slides the window over all workers. `get()` and the registry's `metrics()` show the quantiles of this
 * process alone, over a window of its own.
 */
export class Summary<T extends string = string> extends BinnedInstrument<T> {
  readonly percentiles: readonly number[];

  /**
   * @throws {Error} when `quantile` is a label name, a percentile is not within 0 and 1, or the age not positive
   * @throws {TypeError} when `nativeHistogram` is wrong
   */
  constructor(options: SummaryConfiguration<T>) {
    const given = options?.percentiles ?? DEFAULT_PERCENTILES;
    const maxAgeSeconds = options?.maxAgeSeconds ?? DEFAULT_MAX_AGE_SECONDS;
    if ((options?.labelNames as readonly string[] | undefined)?.includes('quantile')) {
      throw new Error('quantile is a reserved label keyword');
    }
    checkPercentiles(given);
    const quantiles = [...given];
    if (!Number.isFinite(maxAgeSeconds) || maxAgeSeconds <= 0) {
      throw new Error(`maxAgeSeconds must be positive and finite: ${inspect(maxAgeSeconds)}`);
    }
    const native = twinOf(options);
    super(options, { type: 'summary', aggregator: 'sum', quantiles, maxAgeSeconds, ...(native && { native }) });
    this.percentiles = quantiles;
    this.declareUnlabelled();
  }

  override async get(): Promise<MetricObjectWithValues<MetricValueWithName<T>>> {
    this.store.slide();
    return super.get();
  }

  /**
   * @throws {TypeError} when the value is no finite number
   * @throws {Error} when a label does not belong to the metric
   */
  observe(labels: LabelValues<T>, value: number): void;
  observe(value: number): void;
  observe(labelsOrValue: LabelValues<T> | number | null, value?: number): void {
    if (isLabels(labelsOrValue)) this.#observe(labelsOrValue, value);
    // As in prom-client, missing labels mean none, and the value follows.
    else this.#observe(NO_LABELS, labelsOrValue || labelsOrValue === 0 ? labelsOrValue : (value ?? labelsOrValue));
  }

  /** The returned function observes the seconds since the start, and returns them. */
  startTimer(labels?: LabelValues<T>): (endLabels?: LabelValues<T>) => number {
    return startTimer(labels, (all, seconds) => this.#observe(all, seconds));
  }

  /** The series of these labels: an object, or the values in the order of the label names. */
  labels(labels: LabelValues<T>): Summary.Internal<T>;
  labels(...values: (string | number)[]): Summary.Internal<T>;
  labels(...args: (LabelValues<T> | string | number)[]): Summary.Internal<T> {
    const labels = this.labelsFrom(args);
    const series = this.series.finder(labels);
    return {
      observe: (value) => {
        checkObservation(value);
        this.#observeAt(series(), value);
      },
      startTimer: () => this.startTimer(labels),
    };
  }

  #observe(labels: LabelValues<string>, value: number | null | undefined): void {
    checkObservation(value);
    this.#observeAt(this.seriesAt(labels), value);
  }

  #observeAt(series: BinnedSeries, value: number): void {
    const bin = value === 0 ? series.slot + 1 : this.binSlot(series, binOf(value));
    if (bin === null) return;
    const { values, rests } = this.store;
    addTo(values, rests, series.slot, value);
    values[bin] = (values[bin] as number) + 1;
    this.touch(series.slot);
    this.touch(bin);
  }

  protected valuesOf(series: BinnedSeries, labels: Record<string, string>): JsonValue[] {
    const { values, before } = this.store;
    const bins = { chunks: series.chunks, zeroSlot: series.slot + 1, values };
    const quantiles = quantilesOf(bins, before, this.percentiles);
    return [
      ...this.percentiles.map((quantile, i) => ({ labels: { quantile, ...labels }, value: quantiles[i] as number })),
      { labels, value: values[series.slot] as number, metricName: `${this.name}_sum` },
      { labels, value: totalCount(bins), metricName: `${this.name}_count` },
    ];
  }
}

function twinOf(options: SummaryConfiguration<string> | undefined): NativeBuckets | undefined {
  const given = options?.nativeHistogram;
  if (given === undefined) return undefined;
  const { name, ...native } = typeof given === 'string' ? { name: given } : given;
  if ((options?.labelNames ?? []).includes('le')) throw new Error('le is a reserved label keyword of nativeHistogram');
  if (!isMetricName(name) || name === options?.name) {
    throw new TypeError(
      `nativeHistogram must be another metric name, such as 'took_histogram_seconds' for 'took_seconds': ${inspect(given)}`,
    );
  }
  return nativeBuckets(name, native, 'nativeHistogram');
}

export declare namespace Summary {
  /** One series of a summary. */
  interface Internal<T extends string> {
    observe(value: number): void;
    startTimer(): (endLabels?: LabelValues<T>) => number;
  }
}
