import { format } from 'node:util';
import { addTo } from '../store/sums.ts';
import { checkBuckets } from './checks.ts';
import {
  isLabels,
  type JsonValue,
  type MetricConfiguration,
  NO_LABELS,
  SlotInstrument,
  startTimer,
} from './instrument.ts';
import { refuseExemplar } from './series-map.ts';
import type { CollectFunction, LabelValues, ObserveDataWithExemplar } from './types.ts';

export interface HistogramConfiguration<T extends string> extends MetricConfiguration<T> {
  collect?: CollectFunction<Histogram<T>>;
  /** Upper bounds, ascending, without +Inf. Default: prom-client's, 5 ms to 10 s. */
  buckets?: readonly number[];
}

const DEFAULT_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** prom-client's Histogram without `reset`: counts observations in buckets, over all workers that ever lived. */
export class Histogram<T extends string = string> extends SlotInstrument<T> {
  readonly buckets: readonly number[];

  /** @throws {Error} when `le` is a label name, or the buckets are not finite and ascending */
  constructor(options: HistogramConfiguration<T>) {
    const given = options?.buckets ?? DEFAULT_BUCKETS;
    if ((options?.labelNames as readonly string[] | undefined)?.includes('le')) {
      throw new Error('le is a reserved label keyword');
    }
    checkBuckets(given);
    const buckets = [...given];
    super(options, { type: 'histogram', aggregator: 'sum', buckets });
    this.buckets = buckets;
    this.declareUnlabelled();
  }

  /**
   * @throws {TypeError} when the value is no finite number
   * @throws {Error} when a label does not belong to the metric
   */
  observe(labels: LabelValues<T>, value: number): void;
  observe(value: number): void;
  /** prom-client's form for exemplars: refused. */
  observe(data: ObserveDataWithExemplar<T>): void;
  observe(labelsOrValue: unknown, value?: number): void {
    if (isLabels(labelsOrValue)) this.#observe(labelsOrValue, value);
    // As in prom-client, missing labels mean none, and the value follows.
    else this.#observe(NO_LABELS, labelsOrValue || labelsOrValue === 0 ? labelsOrValue : (value ?? labelsOrValue));
  }

  /** The returned function observes the seconds since the start, and returns them. */
  startTimer(labels?: LabelValues<T>): (endLabels?: LabelValues<T>) => number;
  /** prom-client's form for exemplars, which the constructor refuses. */
  startTimer(
    labels?: LabelValues<T>,
    exemplarLabels?: LabelValues<T>,
  ): (endLabels?: LabelValues<T>, exemplarLabels?: LabelValues<T>) => number;
  startTimer(labels?: LabelValues<T>): (endLabels?: LabelValues<T>) => number {
    return startTimer(labels, (all, seconds) => this.#observe(all, seconds));
  }

  /** The series of these labels: an object, or the values in the order of the label names. */
  labels(labels: LabelValues<T>): Histogram.Internal<T>;
  labels(...values: (string | number)[]): Histogram.Internal<T>;
  labels(...args: (LabelValues<T> | string | number)[]): Histogram.Internal<T> {
    const labels = this.labelsFrom(args);
    return { observe: (value) => this.#observe(labels, value), startTimer: () => this.startTimer(labels) };
  }

  #observe(labels: LabelValues<string>, value: unknown): void {
    if (typeof value !== 'number' || !Number.isFinite(value)) {
      refuseExemplar(this.labelNames, labels, 'observe');
      throw new TypeError(`Value is not a valid number: ${format(value)}`);
    }
    const slot = this.seriesAt(labels);
    const bucket = slot + 1 + this.#bucketOf(value);
    const { values, rests } = this.store;
    addTo(values, rests, slot, value);
    values[bucket] = (values[bucket] as number) + 1;
    this.touch(slot);
    this.touch(bucket);
  }

  #bucketOf(value: number): number {
    let index = 0;
    while (index < this.buckets.length && value > (this.buckets[index] as number)) index++;
    return index;
  }

  protected valuesOf(slot: number, labels: Record<string, string>): JsonValue[] {
    const { values } = this.store;
    let count = 0;
    const buckets = [...this.buckets, '+Inf'].map((le, index) => {
      count += values[slot + 1 + index] as number;
      return { labels: { le, ...labels }, value: count, metricName: `${this.name}_bucket` };
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
    observe(value: number): void;
    startTimer(): (endLabels?: LabelValues<T>) => number;
  }
}
