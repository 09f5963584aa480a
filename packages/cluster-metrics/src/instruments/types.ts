import type { Aggregator } from '../store/description.ts';

/*
 * The types that prom-client and its successor @prometheus-io/client give to what a metric takes and returns, under
 * their names. Declared here instead of imported: an application that has only one of the two libraries compiles too.
 */

/** Values of some or all of a metric's labels; a label that is left out is absent from the series. */
export type LabelValues<T extends string> = Partial<Record<T, string | number>>;

/** Brings a metric's values up to date before they are read; `this` is the metric. */
export type CollectFunction<T> = (this: T) => void | Promise<void>;

/** A metric as a registry lists it. */
export interface MetricObject {
  name: string;
  help: string;
  // prom-client declares an enum, its successor the texts that both of them use: only `any` fits both.
  // biome-ignore lint/suspicious/noExplicitAny: see above
  type: any;
  aggregator: Aggregator;
  // biome-ignore lint/suspicious/noExplicitAny: the metric itself, of any type
  collect: CollectFunction<any>;
}

/** The second part repeats the successor's type word for word, so that the compiler knows both libraries' as equal. */
type ReadLabels<T extends string> = LabelValues<T> &
  (T extends never ? Partial<Record<string, never>> : Partial<Record<T, string | number>>);

/** One sample of a metric. */
export interface MetricValue<T extends string> {
  value: number;
  labels: ReadLabels<T>;
}

export interface MetricValueWithName<T extends string> extends MetricValue<T> {
  /** Where it is not the metric's own name: `…_bucket`, `…_sum`, `…_count`. */
  metricName?: string;
}

/** A metric as `get()` returns it. Its `collect` is in prom-client's types alone, not in the objects. */
export interface MetricObjectWithValues<V extends MetricValue<string>> extends MetricObject {
  values: V[];
}

/** What `inc` takes where the counter has exemplars. Unlike prom-client's type, any label can be one of an exemplar. */
export interface IncreaseDataWithExemplar<T extends string> {
  value?: number;
  labels?: LabelValues<T>;
  exemplarLabels?: LabelValues<string>;
}

/** What `observe` takes where the histogram has exemplars. */
export interface ObserveDataWithExemplar<T extends string> {
  value: number;
  labels?: LabelValues<T>;
  exemplarLabels?: LabelValues<string>;
}
