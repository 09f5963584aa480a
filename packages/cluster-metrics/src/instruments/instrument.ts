import { format, inspect } from 'node:util';
import type { Aggregator, Description, LabelTuple, NativeBuckets } from '../store/description.ts';
import type { Store } from '../store/store.ts';
import { checkAggregator, checkLabelNames, checkName, checkRegisters, type StoreRegistry } from './checks.ts';
import { exemplarLabels } from './exemplar-labels.ts';
import { checkLabels, labelArguments, SeriesMap } from './series-map.ts';
import type { CollectFunction, LabelValues, MetricObjectWithValues, MetricValueWithName } from './types.ts';

/** The options that every metric takes: prom-client's, and `lazy`. */
export interface MetricConfiguration<T extends string> {
  name: string;
  help: string;
  labelNames?: readonly T[];
  /** Must name a WorkerRegistry first: the values live in its store. Optional in the types alone, as in prom-client's. */
  registers?: readonly Pick<StoreRegistry, 'store' | 'defaultLabels' | 'registerMetric'>[];
  /** How the values of several processes become one. Only a gauge may choose; every other type is summed. */
  aggregator?: Aggregator;
  /** Called before the values are read, or twice a second where the registry is sampled regularly. */
  collect?: CollectFunction<never>;
  /** Whether `inc` and `observe` take exemplars: for a counter or a histogram. Default false. */
  enableExemplars?: boolean;
  /**
   * Whether a change may wait up to 50 ms for the next write of another metric, instead of causing a write in its own
   * turn of the event loop. For a metric that changes several times a request. Default false.
   */
  lazy?: boolean;
}

/** One sample of a metric, in prom-client's form. */
export interface JsonValue {
  labels: Record<string, string | number>;
  value: number;
  /** Where it is not the metric's own name: `…_bucket`, `…_sum`, `…_count`. */
  metricName?: string;
  /** The timestamp is in seconds. `null` of a bucket without one, where the histogram has exemplars. */
  exemplar?: { labelSet: Readonly<Record<string, string>>; value: number; timestamp: number } | null;
}

/** A metric with its samples, in prom-client's form. */
export interface JsonMetric {
  name: string;
  help: string;
  type: Description['type'];
  aggregator: Aggregator;
  values: JsonValue[];
}

/** The labels of a call without labels. */
export const NO_LABELS: LabelValues<string> = Object.freeze({});

/** The base of Counter, Gauge, Histogram and Summary. `S` is the type of their series. */
export abstract class Instrument<T extends string, S> {
  readonly name: string;
  readonly help: string;
  readonly type: Description['type'];
  readonly aggregator: Aggregator;
  readonly labelNames: readonly string[];
  /** How its bins are shown as a native histogram. */
  readonly native: NativeBuckets | undefined;
  readonly #collect: CollectFunction<never> | undefined;
  readonly #lazy: boolean;
  protected readonly hasExemplars: boolean;
  /** The labels of a series as the store keeps them. */
  readonly #withDefaults: (labels: LabelTuple) => LabelTuple;
  /** Holds the values. */
  readonly store: Store;
  protected readonly metric: number;
  protected readonly series: SeriesMap<S>;

  /**
   * @throws {Error} with prom-client's words, when the name, the help or a label name is missing or wrong
   * @throws {TypeError} when `registers` names no WorkerRegistry, or a gauge or summary is to have exemplars
   */
  protected constructor(
    options: MetricConfiguration<T>,
    shape: Pick<Description, 'type' | 'aggregator' | 'buckets' | 'quantiles' | 'maxAgeSeconds' | 'native'>,
  ) {
    if (typeof options !== 'object' || options === null) throw new TypeError('constructor expected a config object');
    checkName(options);
    const labelNames = options.labelNames ?? [];
    checkLabelNames(labelNames);
    checkAggregator(shape.aggregator);
    if ((options.aggregator ?? shape.aggregator) !== shape.aggregator) {
      throw new TypeError(
        `A ${shape.type} is summed over all workers: leave out aggregator: ${inspect(options.aggregator)}`,
      );
    }
    if (options.collect !== undefined && typeof options.collect !== 'function') {
      throw new Error('Optional "collect" parameter must be a function');
    }
    const { enableExemplars = false } = options;
    if (enableExemplars && shape.type !== 'counter' && shape.type !== 'histogram') {
      throw new TypeError('Only counters and histograms have exemplars: leave out enableExemplars');
    }
    const { registers } = options;
    checkRegisters(registers);
    const [registry] = registers;

    this.name = options.name;
    this.help = options.help;
    this.type = shape.type;
    this.aggregator = shape.aggregator;
    this.native = shape.native;
    this.labelNames = [...labelNames];
    this.#collect = options.collect;
    this.#lazy = options.lazy ?? false;
    this.hasExemplars = enableExemplars;
    // Before the registration: by the store, a registry distinguishes it from a metric of prom-client.
    this.store = registry.store;
    for (const each of registers) each.registerMetric(this);
    // A label of the metric's own comes before a default label of its name.
    const defaults = registry.defaultLabels;
    const storedNames = [...new Set([...this.labelNames, ...defaults.keys()])];
    this.#withDefaults = (labels) => storedNames.map((name, i) => labels[i] ?? defaults.get(name) ?? null);
    this.metric = this.store.addMetric({ name: this.name, help: this.help, labelNames: storedNames, ...shape });
    this.series = new SeriesMap(
      this.labelNames,
      (labels) => this.createSeries(this.#withDefaults(labels)),
      (series) => this.store.restoreSeries(this.slotOf(series)),
    );
  }

  /** Declares the series of a metric without labels. The last step of every constructor. */
  protected declareUnlabelled(): void {
    if (this.labelNames.length === 0) this.zero({});
  }

  /** Declares a series, so that the page shows it at 0 before anything is counted. */
  zero(labels: LabelValues<T>): void {
    this.seriesAt(labels ?? NO_LABELS);
  }

  /** @throws {Error} always, but for a gauge's: what was counted stays counted */
  reset(): void {
    throw new Error(`${this.name} never goes back, so it has no reset(): make a new WorkerRegistry() for each test`);
  }

  /**
   * Hides a series in this process. The page leaves it out when all living workers that have it have removed it. What it
   * has counted is kept: counted again by any worker, it is shown with its old total and the new.
   */
  remove(labels: LabelValues<T>): void;
  remove(...values: (string | number)[]): void;
  remove(...args: (LabelValues<T> | string | number)[]): void {
    const removed = this.series.remove(this.labelsFrom(args));
    if (removed === undefined) return;
    const [series, labels] = removed;
    const tuple = this.labelNames.map((name) => labels[name] ?? null);
    this.store.removeSeries(this.metric, this.#withDefaults(tuple), this.slotOf(series));
  }

  /** The metric as it stands in this process, in prom-client's form. */
  async get(): Promise<MetricObjectWithValues<MetricValueWithName<T>>> {
    await this.collect();
    const values = Array.from(this.series.all, ([series, labels]) => this.valuesOf(series, labels)).flat();
    const { name, help, type, aggregator } = this;
    const metric: JsonMetric = { name, help, type, aggregator, values };
    return metric as JsonMetric & MetricObjectWithValues<MetricValueWithName<T>>;
  }

  /** Runs the `collect` function. */
  async collect(): Promise<void> {
    await this.#collect?.call(this as never);
  }

  /** The series of these labels. @throws {Error} when a label does not belong to the metric */
  protected seriesAt(labels: LabelValues<string>): S {
    checkLabels(this.labelNames, labels);
    return this.series.at(labels);
  }

  /**
   * The labels that `labels(…)` was called with, checked; `labels(null)` means none. A copy, because the caller may change
   * its object.
   */
  protected labelsFrom(args: readonly (LabelValues<T> | string | number | null)[]): LabelValues<T> {
    const labels = labelArguments(this.labelNames, args) ?? NO_LABELS;
    checkLabels(this.labelNames, labels);
    return { ...labels } as LabelValues<T>;
  }

  /** Marks a value as changed. */
  protected touch(slot: number): void {
    if (this.#lazy) this.store.touchLazily(slot);
    else this.store.touch(slot);
  }

  /**
   * Keeps an exemplar. Call it after the count, which must not be lost with a bad exemplar.
   *
   * @param series its first slot
   * @throws {RangeError} when its labels have more than 128 characters
   * @throws {TypeError} when the metric has no exemplars
   */
  protected keepExemplar(series: number, bucket: number, given: LabelValues<string>, value: number): void {
    if (!this.hasExemplars) throw new TypeError(`${this.name} has no exemplars: make it with enableExemplars: true`);
    const labels = exemplarLabels(given);
    if (labels !== null) this.store.setExemplar(series, bucket, { labels, value, timestampMs: Date.now() });
  }

  /** A sample, in prom-client's form, with the exemplar of its bucket where it has one. */
  protected withExemplar(sample: JsonValue, series: number, bucket: number): JsonValue {
    const exemplar = this.store.exemplarAt(series, bucket);
    if (exemplar === undefined) return sample;
    const { labels, value, timestampMs } = exemplar;
    return { ...sample, exemplar: { labelSet: labels, value, timestamp: timestampMs / 1000 } };
  }

  /** @param labels with the registry's default labels */
  protected abstract createSeries(labels: LabelTuple): S;
  /** The first slot of a series. */
  protected abstract slotOf(series: S): number;
  protected abstract valuesOf(series: S, labels: Record<string, string>): JsonValue[];
}

/** The base of the metrics whose series are known by their first slot alone. */
export abstract class SlotInstrument<T extends string> extends Instrument<T, number> {
  protected createSeries(labels: LabelTuple): number {
    return this.store.addSeries(this.metric, labels);
  }

  protected slotOf(slot: number): number {
    return slot;
  }
}

/** Tells prom-client's signature `(labels, value)` from `(value)`. */
export function isLabels(argument: unknown): argument is LabelValues<string> {
  return argument !== null && typeof argument === 'object';
}

/** @throws {TypeError} when the observation is no finite number */
export function checkObservation(value: unknown): asserts value is number {
  if (typeof value === 'number' && Number.isFinite(value)) return;
  throw new TypeError(`Value is not a valid number: ${format(value)}`);
}

/** Starts a clock. The returned function passes the seconds since then to `observe`, and returns them. */
export function startTimer<T extends string>(
  startLabels: LabelValues<T> | undefined,
  observe: (labels: LabelValues<T>, seconds: number, exemplarLabels?: LabelValues<string>) => void,
): (endLabels?: LabelValues<T>, exemplarLabels?: LabelValues<string>) => number {
  const start = process.hrtime.bigint();
  return (endLabels, exemplarLabels) => {
    const seconds = Number(process.hrtime.bigint() - start) / 1e9;
    observe({ ...startLabels, ...endLabels } as LabelValues<T>, seconds, exemplarLabels);
    return seconds;
  };
}
