import { format } from 'node:util';
import type { Aggregator } from '../store/description.ts';
import {
  isLabels,
  type JsonValue,
  type MetricConfiguration,
  NO_LABELS,
  SlotInstrument,
  startTimer,
} from './instrument.ts';
import type { CollectFunction, LabelValues } from './types.ts';

export interface GaugeConfiguration<T extends string> extends MetricConfiguration<T> {
  collect?: CollectFunction<Gauge<T>>;
  /**
   * How the values of the living workers become one: `sum` (the default), `max`, `min`, `average`, `first`, or `omit`,
   * which shows the gauge only where one worker is asked for. For a value per worker, use a label `worker`.
   */
  aggregator?: Aggregator;
}

/** prom-client's Gauge: a value that goes up and down. The value of a dead worker is gone with it. */
export class Gauge<T extends string = string> extends SlotInstrument<T> {
  constructor(options: GaugeConfiguration<T>) {
    super(options, { type: 'gauge', aggregator: options?.aggregator ?? 'sum' });
    this.declareUnlabelled();
  }

  /** @throws {TypeError} when the value is no number; NaN and the infinities are */
  set(labels: LabelValues<T>, value: number): void;
  set(value: number): void;
  set(labelsOrValue: LabelValues<T> | number | null, value?: number): void {
    if (isLabels(labelsOrValue)) this.#set(labelsOrValue, value);
    // prom-client refuses missing labels here, and accepts them as none elsewhere.
    else this.#set(NO_LABELS, value === undefined ? labelsOrValue : (labelsOrValue ?? value));
  }

  inc(labels: LabelValues<T>, value?: number): void;
  inc(value?: number): void;
  inc(labelsOrValue?: LabelValues<T> | number, value?: number): void {
    if (isLabels(labelsOrValue)) this.#add(labelsOrValue, value ?? 1, 1);
    else this.#add(NO_LABELS, labelsOrValue ?? 1, 1);
  }

  dec(labels: LabelValues<T>, value?: number): void;
  dec(value?: number): void;
  dec(labelsOrValue?: LabelValues<T> | number, value?: number): void {
    if (isLabels(labelsOrValue)) this.#add(labelsOrValue, value ?? 1, -1);
    else this.#add(NO_LABELS, labelsOrValue ?? 1, -1);
  }

  /** Sets it to the seconds since 1970. */
  setToCurrentTime(labels?: LabelValues<T> | null): void {
    this.#set(labels ?? NO_LABELS, Date.now() / 1000);
  }

  /** The returned function sets the gauge to the seconds since the start, and returns them. */
  startTimer(labels?: LabelValues<T>): (endLabels?: LabelValues<T>) => number {
    return startTimer(labels, (all, seconds) => this.#set(all, seconds));
  }

  /** The series of these labels: an object, or the values in the order of the label names. */
  labels(labels: LabelValues<T>): Gauge.Internal<T>;
  labels(...values: (string | number)[]): Gauge.Internal<T>;
  labels(...args: (LabelValues<T> | string | number | null)[]): Gauge.Internal<T> {
    const labels = this.labelsFrom(args);
    const series = this.series.finder(labels);
    const add = (delta: number, sign: 1 | -1) => {
      checkDelta(delta);
      this.#addAt(series(), delta, sign);
    };
    return {
      set: (value) => {
        checkValue(value);
        this.#write(series(), value);
      },
      inc: (value) => add(value ?? 1, 1),
      dec: (value) => add(value ?? 1, -1),
      setToCurrentTime: () => this.setToCurrentTime(labels),
      startTimer: () => this.startTimer(labels),
    };
  }

  /** Hides the series until it is set again. */
  override remove(labels: LabelValues<T>): void;
  override remove(...values: (string | number)[]): void;
  override remove(...args: (LabelValues<T> | string | number)[]): void {
    this.#unset(this.seriesAt(this.labelsFrom(args)));
  }

  /** Removes every series; a gauge without labels goes to 0. */
  override reset(): void {
    for (const slot of this.series.all.keys()) this.#unset(slot);
    if (this.labelNames.length === 0) this.#set(NO_LABELS, 0);
  }

  override zero(labels: LabelValues<T>): void {
    this.#set(labels ?? NO_LABELS, 0);
  }

  #set(labels: LabelValues<string>, value: number | null | undefined): void {
    checkValue(value);
    this.#write(this.seriesAt(labels), value);
  }

  #add(labels: LabelValues<string>, delta: number, sign: 1 | -1): void {
    checkDelta(delta);
    this.#addAt(this.seriesAt(labels), delta, sign);
  }

  #addAt(slot: number, delta: number, sign: 1 | -1): void {
    this.#write(slot, (this.store.values[slot + 1] as number) + sign * delta);
  }

  #write(slot: number, value: number): void {
    this.store.values[slot] = 1;
    this.store.values[slot + 1] = value;
    this.touch(slot);
    this.touch(slot + 1);
  }

  #unset(slot: number): void {
    this.store.values[slot] = 0;
    this.store.values[slot + 1] = 0;
    this.touch(slot);
    this.touch(slot + 1);
  }

  protected valuesOf(slot: number, labels: Record<string, string>): JsonValue[] {
    const { values } = this.store;
    return values[slot] === 1 ? [{ labels, value: values[slot + 1] as number }] : [];
  }
}

function checkValue(value: number | null | undefined): asserts value is number {
  if (typeof value !== 'number') throw new TypeError(`Value is not a valid number: ${format(value)}`);
}

function checkDelta(delta: number): void {
  if (typeof delta !== 'number') throw new TypeError(`Delta is not a valid number: ${format(delta)}`);
}

export declare namespace Gauge {
  /** One series of a gauge. */
  interface Internal<T extends string> {
    set(value: number): void;
    inc(value?: number): void;
    dec(value?: number): void;
    setToCurrentTime(): void;
    startTimer(): (endLabels?: LabelValues<T>) => number;
  }
}
