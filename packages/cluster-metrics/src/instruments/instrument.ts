import type { Aggregator, Metric } from 'prom-client';
import type { WorkerRegistry } from '../prom-client/worker-registry.ts';
import type { Description, LabelTuple } from '../store/description.ts';
import type { Store } from '../store/store.ts';
import { checkAggregator, checkLabelNames, checkName, checkRegisters } from './checks.ts';
import { checkLabels, type LabelValues, labelArguments, SeriesMap } from './series-map.ts';

/** What every instrument is made from: prom-client's words, but for `registers`, which has to be given. */
export interface InstrumentOptions<T extends string> {
  name: string;
  help: string;
  labelNames?: readonly T[];
  /** The values live in the first registry's store. */
  registers: readonly WorkerRegistry[];
  /**
   * Whether a change may wait for the next write, 50 ms at most, instead of being written in its turn of the event loop:
   * for what changes several times a request, and is written with the request itself. Default false.
   */
  lazy?: boolean;
  /** Called before the values are read, or twice a second where the registry is sampled regularly. */
  collect?: () => void | Promise<void>;
}

/** One line of a metric, as in prom-client's `getMetricsAsJSON`. */
export interface JsonValue {
  labels: Record<string, string | number>;
  value: number;
  /** Where it is not the metric's own name: `…_bucket`, `…_sum`, `…_count`. */
  metricName?: string;
}

/** A metric as in prom-client's `getMetricsAsJSON`. */
export interface JsonMetric {
  name: string;
  help: string;
  type: Description['type'];
  aggregator: Aggregator;
  values: JsonValue[];
}

/** Where labels may be left out, with prom-client's signatures: a missing object means none. */
export const NO_LABELS: LabelValues<string> = Object.freeze({});

/** What Counter, Gauge, Histogram and Summary have in common; `S` is what they keep per series. */
export abstract class Instrument<T extends string, S> {
  readonly name: string;
  readonly help: string;
  readonly type: Description['type'];
  readonly aggregator: Aggregator;
  readonly labelNames: readonly string[];
  readonly #collect: (() => void | Promise<void>) | undefined;
  readonly #lazy: boolean;
  /** Where its values live. */
  readonly store: Store;
  protected readonly metric: number;
  protected readonly series: SeriesMap<S>;

  /**
   * @throws {Error} with prom-client's words, when the name, the help or a label name is missing or wrong
   * @throws {TypeError} when `registers` names no WorkerRegistry, or exemplars are asked for
   */
  protected constructor(
    options: InstrumentOptions<T>,
    shape: Pick<Description, 'type' | 'aggregator' | 'buckets' | 'quantiles' | 'maxAgeSeconds'>,
  ) {
    if (typeof options !== 'object' || options === null) throw new TypeError('constructor expected a config object');
    checkName(options);
    const labelNames = options.labelNames ?? [];
    checkLabelNames(labelNames);
    checkAggregator(shape.aggregator);
    if (options.collect !== undefined && typeof options.collect !== 'function') {
      throw new Error('Optional "collect" parameter must be a function');
    }
    if ('enableExemplars' in options && options.enableExemplars) {
      throw new TypeError('Exemplars are not supported: leave out enableExemplars');
    }
    checkRegisters(options.registers);
    const [registry] = options.registers;

    this.name = options.name;
    this.help = options.help;
    this.type = shape.type;
    this.aggregator = shape.aggregator;
    this.labelNames = [...labelNames];
    this.#collect = options.collect;
    this.#lazy = options.lazy ?? false;
    // A registry takes whatever has prom-client's `name` and `get()`; its declared type names its own classes only.
    for (const each of options.registers) each.registerMetric(this as unknown as Metric);
    this.store = registry.store;
    this.metric = this.store.addMetric({
      name: this.name,
      help: this.help,
      labelNames: this.labelNames,
      ...shape,
    });
    this.series = new SeriesMap(this.labelNames, (labels) => this.createSeries(labels));
  }

  /** A metric without labels is there from the beginning; the last step of every constructor. */
  protected declareUnlabelled(): void {
    if (this.labelNames.length === 0) this.zero({});
  }

  /** Declares a series, so that it is there at 0 before anything happens. */
  zero(labels: LabelValues<T>): void {
    this.seriesAt(labels ?? NO_LABELS);
  }

  /** The metric as it stands in this process, in prom-client's form. */
  async get(): Promise<JsonMetric> {
    await this.collect();
    const values = this.series.all.flatMap(({ labels, series }) => this.valuesOf(series, labels));
    return { name: this.name, help: this.help, type: this.type, aggregator: this.aggregator, values };
  }

  /** Lets the `collect` function bring the values up to date. */
  async collect(): Promise<void> {
    await this.#collect?.call(this);
  }

  /** The series of these labels. @throws {Error} when a label does not belong to the metric */
  protected seriesAt(labels: LabelValues<string>): S {
    checkLabels(this.labelNames, labels);
    return this.series.at(labels);
  }

  /** The labels that `labels(…)` was called with, checked; `labels(null)` means none. */
  protected labelsFrom(args: readonly (LabelValues<T> | string | number | null)[]): LabelValues<T> {
    const labels = labelArguments(this.labelNames, args) ?? NO_LABELS;
    checkLabels(this.labelNames, labels);
    return labels as LabelValues<T>;
  }

  /** Marks a value as changed. */
  protected touch(slot: number): void {
    if (this.#lazy) this.store.touchLazily(slot);
    else this.store.touch(slot);
  }

  protected abstract createSeries(labels: LabelTuple): S;
  protected abstract valuesOf(series: S, labels: Record<string, string>): JsonValue[];
}

/** Prom-client's signature `(labels, value)` or `(value)`. */
export function isLabels(argument: unknown): argument is LabelValues<string> {
  return argument !== null && typeof argument === 'object';
}

/** Starts a clock; the returned function hands its reading, in seconds, to `observe`, and returns it. */
export function startTimer<T extends string>(
  startLabels: LabelValues<T> | undefined,
  observe: (labels: LabelValues<T>, seconds: number) => void,
): (endLabels?: LabelValues<T>) => number {
  const start = process.hrtime.bigint();
  return (endLabels) => {
    const seconds = Number(process.hrtime.bigint() - start) / 1e9;
    observe({ ...startLabels, ...endLabels } as LabelValues<T>, seconds);
    return seconds;
  };
}
