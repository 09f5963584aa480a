import { format } from 'node:util';
import { type LabelTuple, UNKNOWN_START } from '../store/description.ts';
import { addTo } from '../store/sums.ts';
import { exemplarData } from './exemplar-labels.ts';
import { isLabels, type JsonValue, type MetricConfiguration, NO_LABELS, SlotInstrument } from './instrument.ts';
import type { CollectFunction, IncreaseDataWithExemplar, LabelValues } from './types.ts';

export interface CounterConfiguration<T extends string> extends MetricConfiguration<T> {
  collect?: CollectFunction<Counter<T>>;
  /**
   * Whether the counter begins with a total that something else has counted for long, such as a database server. Its
   * series then have no start timestamp: with one, Prometheus would take that total for an increase. Default false.
   */
  continuesTotal?: boolean;
}

/** prom-client's Counter without `reset`: a total that only grows, over all workers that ever lived. */
export class Counter<T extends string = string> extends SlotInstrument<T> {
  readonly #continuesTotal: boolean;

  constructor(options: CounterConfiguration<T>) {
    super(options, { type: 'counter', aggregator: 'sum' });
    this.#continuesTotal = options.continuesTotal ?? false;
    this.declareUnlabelled();
  }

  /**
   * @param value not negative; 1 when it is left out
   * @param exemplarLabels of the exemplar that takes the place of the last one; needs `enableExemplars`
   * @throws {TypeError} when the value is no finite number
   * @throws {Error} when it is negative, or a label does not belong to the metric
   * @throws {RangeError} when names and values of `exemplarLabels` have more than 128 characters together; it is counted
   */
  inc(labels: LabelValues<T>, value?: number, exemplarLabels?: LabelValues<string>): void;
  inc(value?: number): void;
  /** prom-client's form; needs `enableExemplars`, and is the only one of one object then. */
  inc(data: IncreaseDataWithExemplar<T>): void;
  inc(labelsOrValue?: unknown, value?: number | null, exemplarLabels?: LabelValues<string>): void {
    if (!isLabels(labelsOrValue)) this.#add(NO_LABELS, (labelsOrValue ?? 1) as number, exemplarLabels);
    else if (this.hasExemplars && value == null && exemplarLabels === undefined) this.#incBy(labelsOrValue);
    else this.#add(labelsOrValue, value ?? 1, exemplarLabels);
  }

  #incBy(given: object): void {
    const { labels, value, exemplarLabels } = exemplarData(given, 'inc');
    this.#add(labels ?? NO_LABELS, (value ?? 1) as number, exemplarLabels);
  }

  /** The series of these labels: an object, or the values in the order of the label names. */
  labels(labels: LabelValues<T>): Counter.Internal;
  labels(...values: (string | number)[]): Counter.Internal;
  labels(...args: (LabelValues<T> | string | number)[]): Counter.Internal {
    const series = this.series.finder(this.labelsFrom(args));
    return {
      inc: (value, exemplarLabels) => {
        const growth = value ?? 1;
        checkGrowth(growth);
        this.#addAt(series(), growth, exemplarLabels);
      },
    };
  }

  protected override createSeries(labels: LabelTuple): number {
    return this.#continuesTotal ? this.store.addSeries(this.metric, labels, UNKNOWN_START) : super.createSeries(labels);
  }

  #add(labels: LabelValues<string>, value: number, exemplarLabels: LabelValues<string> | undefined): void {
    checkGrowth(value);
    this.#addAt(this.seriesAt(labels), value, exemplarLabels);
  }

  #addAt(slot: number, value: number, exemplarLabels: LabelValues<string> | undefined): void {
    const { values, rests } = this.store;
    const before = values[slot] as number;
    const total = before + value;
    // Whole numbers, the usual case, lose nothing by rounding. `addTo` would give the same and take longer.
    if (total - before === value && total - value === before && rests[slot] === 0) values[slot] = total;
    else addTo(values, rests, slot, value);
    this.touch(slot);
    if (exemplarLabels !== undefined) this.keepExemplar(slot, 0, exemplarLabels, value);
  }

  protected valuesOf(slot: number, labels: Record<string, string>): JsonValue[] {
    return [this.withExemplar({ labels, value: this.store.values[slot] as number }, slot, 0)];
  }
}

function checkGrowth(value: number): void {
  if (!Number.isFinite(value)) throw new TypeError(`Value is not a valid number: ${format(value)}`);
  if (value < 0) throw new Error('It is not possible to decrease a counter');
}

export declare namespace Counter {
  /** One series of a counter. */
  interface Internal {
    /** @param exemplarLabels as for `inc` of the counter */
    inc(value?: number, exemplarLabels?: LabelValues<string>): void;
  }
}
