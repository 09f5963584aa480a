import { inspect } from 'node:util';
import type { Aggregator } from '../store/description.ts';
import type { Store } from '../store/store.ts';

/*
 * Checks of a new metric. Each refuses an input for which Prometheus would reject the whole page, or which would count
 * wrongly. Where prom-client refuses the input too, the message is prom-client's.
 */

/** A WorkerRegistry, as a metric sees it. */
export interface StoreRegistry {
  /** Holds the values of the metrics. */
  readonly store: Store;
  /** Labels that each series has, unless its metric has a label of that name itself. */
  readonly defaultLabels: ReadonlyMap<string, string>;
  /** Whether a timer of its own keeps it up to date. */
  readonly isSampled: boolean;
  registerMetric(metric: object): void;
  getMetricsAsArray(): object[];
  /** Brings the store up to date. */
  sample(): Promise<void>;
}

/** One of this package's metrics, as a registry sees it. */
export interface StoredMetric {
  readonly store: Store;
  collect(): Promise<void>;
}

// https://prometheus.io/docs/concepts/data_model/#metric-names-and-labels
const METRIC_NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL_NAME = /^[a-zA-Z_][a-zA-Z0-9_]*$/;

const AGGREGATORS: readonly string[] = ['sum', 'max', 'min', 'average', 'first', 'omit'] satisfies Aggregator[];

/** @throws {Error} when the help or the name is missing or wrong */
export function checkName({ name, help }: { name?: unknown; help?: unknown }): void {
  if (!help) throw new Error('Missing mandatory help parameter');
  if (typeof help !== 'string') throw new TypeError(`help must be a text: ${inspect(help)}`);
  if (!name) throw new Error('Missing mandatory name parameter');
  if (!isMetricName(name)) throw new Error('Invalid metric name');
}

/** Whether Prometheus accepts it as a metric's name without quotes. */
export function isMetricName(name: unknown): name is string {
  return typeof name === 'string' && METRIC_NAME.test(name);
}

/** Whether Prometheus accepts it as a label's name without quotes. */
export function isLabelName(name: unknown): name is string {
  return typeof name === 'string' && LABEL_NAME.test(name);
}

/** @throws {Error} when a label name is wrong, reserved or there twice */
export function checkLabelNames(labelNames: unknown): asserts labelNames is readonly string[] {
  if (!Array.isArray(labelNames)) throw new TypeError(`labelNames must be an array: ${inspect(labelNames)}`);
  if (!labelNames.every(isLabelName)) throw new Error('Invalid label name');
  if (labelNames.includes('__name__')) {
    throw new Error("__name__ is a reserved label keyword: Prometheus keeps the metric's name in it");
  }
  if (new Set(labelNames).size < labelNames.length) {
    throw new Error(`Label names must differ, name each once: ${inspect(labelNames)}`);
  }
}

/** @throws {Error} when the buckets are not finite and ascending */
export function checkBuckets(buckets: unknown): asserts buckets is readonly number[] {
  const ascend =
    Array.isArray(buckets) &&
    buckets.every((bound, i) => Number.isFinite(bound) && (i === 0 || bound > buckets[i - 1]));
  if (ascend) return;
  throw new Error(
    `Buckets must be finite numbers in ascending order, each once; leave out +Inf, it is always there: ${inspect(buckets)}`,
  );
}

/** @throws {Error} when a percentile is not within 0 and 1, or there twice */
export function checkPercentiles(percentiles: unknown): asserts percentiles is readonly number[] {
  const differ =
    Array.isArray(percentiles) &&
    percentiles.every((each) => typeof each === 'number' && each >= 0 && each <= 1) &&
    new Set(percentiles).size === percentiles.length;
  if (!differ) throw new Error(`Percentiles must be numbers from 0 to 1, each once: ${inspect(percentiles)}`);
}

/** @throws {Error} when it is none of prom-client's */
export function checkAggregator(aggregator: unknown): void {
  if (AGGREGATORS.includes(aggregator as string)) return;
  throw new Error(`aggregator must be one of ${AGGREGATORS.join(', ')}: ${inspect(aggregator)}`);
}

/** @throws {TypeError} when the first of the registries has no store, or another one has another store */
export function checkRegisters(registers: unknown): asserts registers is readonly [StoreRegistry, ...StoreRegistry[]] {
  if (Array.isArray(registers) && isWorkerRegistry(registers[0])) {
    const { store } = registers[0];
    if (registers.every((each) => !isWorkerRegistry(each) || each.store === store)) return;
    throw new TypeError(
      "All WorkerRegistries in registers must share one store: the values live in the first one's. Name one of them, or make both with new WorkerRegistry(store) of the same store",
    );
  }
  throw new TypeError(
    'registers must name a WorkerRegistry, since the values live in its store: write registers: [registry], with ' +
      'registry = new WorkerRegistry(openStore({ directory, worker })) in a worker, and registry = new WorkerRegistry() ' +
      "in the primary, whose ClusterRegistry shows it with its own registers: [registry]; prom-client's registries have no store",
  );
}

/** Asks for its members, not for its class: an application may have loaded this package twice. */
export function isWorkerRegistry(registry: unknown): registry is StoreRegistry {
  return isObject(registry) && 'isSampled' in registry && 'store' in registry && isStore(registry.store);
}

export function isStore(store: unknown): boolean {
  return isObject(store) && 'addSeries' in store;
}

/** Whether it is one of this package's metrics; asks for its members, see `isWorkerRegistry`. */
export function isInstrument(metric: object): metric is StoredMetric {
  return 'store' in metric && isStore(metric.store);
}

/** The options of a metric of prom-client or its successor, as it keeps them. `type` is set after the registration. */
interface ForeignMetric {
  readonly name?: unknown;
  readonly type?: unknown;
  readonly labelNames?: unknown;
  readonly buckets?: unknown;
  readonly percentiles?: unknown;
  readonly aggregator?: unknown;
  readonly registers?: unknown;
}

/**
 * Checks a metric of prom-client or its successor. Asks for its members, not for its class: an application may have
 * loaded the library twice.
 *
 * @throws {TypeError} for a Summary of theirs: quantiles that were computed already can't be merged truthfully
 * @throws {Error} when Prometheus would reject the metric
 */
export function checkForeign(metric: object): void {
  const { name, type, labelNames = [], buckets, percentiles, aggregator = 'sum', registers }: ForeignMetric = metric;
  if (type === 'summary' || percentiles !== undefined) {
    throw new TypeError(
      `prom-client's Summary can't be merged: make ${name} with ours, import { Summary } from this package; for default metrics, call collectDefaults(registry)`,
    );
  }
  if (Array.isArray(registers) && registers.filter(isWorkerRegistry).length > 1) {
    throw new TypeError(`Each WorkerRegistry would count ${name}: name one of them in registers`);
  }
  checkLabelNames(labelNames);
  checkAggregator(aggregator);
  if (!Array.isArray(buckets)) return;
  if (labelNames.includes('le')) throw new Error('le is a reserved label keyword');
  // prom-client accepts +Inf as the last bound, and counts correctly.
  checkBuckets(buckets.at(-1) === Number.POSITIVE_INFINITY ? buckets.slice(0, -1) : buckets);
}

/** A metric as its registration sees it: prom-client's metrics get their `type` later. */
interface NamedMetric {
  /** An object of the application's own may have no more than `get()`, as in prom-client. */
  readonly name?: string;
  readonly type?: unknown;
  readonly buckets?: unknown;
  /** Of this package's metrics only. */
  readonly native?: { readonly name: string } | undefined;
}

/**
 * Every name that a metric has on the page, as a family or as a sample, in any format. Two metrics that share one would
 * give a family or a series twice.
 */
export function namesOnPage(metric: NamedMetric): string[] {
  const { name, native } = metric;
  if (name === undefined) return [];
  const twin = native === undefined || native.name === name ? [] : histogramNames(native.name);
  return [...ownNames(metric, name), ...twin];
}

function ownNames(metric: NamedMetric, name: string): string[] {
  const type = metric.type ?? (metric.buckets !== undefined ? 'histogram' : 'dec' in metric ? 'gauge' : 'counter');
  if (type === 'counter') {
    // In OpenMetrics, the family has no `_total`, and its samples have it.
    const family = name.replace(/_total$/, '');
    return [name, family, `${family}_total`];
  }
  if (type === 'histogram') return histogramNames(name);
  return type === 'summary' ? [name, `${name}_sum`, `${name}_count`] : [name];
}

function histogramNames(name: string): string[] {
  return [name, `${name}_bucket`, `${name}_sum`, `${name}_count`];
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
