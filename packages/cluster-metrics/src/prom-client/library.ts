import { createRequire } from 'node:module';
import type { Counter } from '../instruments/counter.ts';
import type { Gauge } from '../instruments/gauge.ts';
import type { Histogram } from '../instruments/histogram.ts';
import type { Summary } from '../instruments/summary.ts';
import type { MetricObject, MetricObjectWithValues, MetricValue } from '../instruments/types.ts';

export type PrometheusContentType = 'text/plain; version=0.0.4; charset=utf-8';
export type OpenMetricsContentType = 'application/openmetrics-text; version=1.0.0; charset=utf-8';
export type RegistryContentType = PrometheusContentType | OpenMetricsContentType;

/** A metric of this package. */
export type Metric<T extends string = string> = Counter<T> | Gauge<T> | Summary<T> | Histogram<T>;

/** A metric of this package, of prom-client or of its successor. */
export interface AnyMetric {
  get(): unknown;
}

/** The registries of both libraries. An object of this type also has the type `Registry` of each library. */
export interface LibraryRegistry<C extends RegistryContentType = PrometheusContentType> {
  metrics(): Promise<string>;
  clear(): void;
  resetMetrics(): void;
  registerMetric(metric: AnyMetric): void;
  /** @param aggregator only metrics with this aggregator; prom-client lists all */
  getMetricsAsJSON(aggregator?: string): Promise<MetricObjectWithValues<MetricValue<string>>[]>;
  /** @param aggregator only metrics with this aggregator; prom-client lists all */
  getMetricsAsArray(aggregator?: string): MetricObject[];
  /** In prom-client's registries too, though its types leave it out. */
  getMetricsAsString(metric: AnyMetric): Promise<string>;
  removeSingleMetric(name: string): void;
  getSingleMetric<T extends string>(name: string): Metric<T> | undefined;
  getSingleMetricAsString(name: string): Promise<string>;
  setDefaultLabels(labels: object): void;
  readonly contentType: C;
  setContentType(contentType: C): void;
}

export interface LibraryAggregatorRegistry<C extends RegistryContentType> extends LibraryRegistry<C> {
  clusterMetrics(): Promise<string>;
}

/** A registry whose metrics are copied: of either library, with any content type. */
export interface CopiedRegistry {
  getMetricsAsArray(): object[];
  getMetricsAsJSON(): Promise<{ values: { labels: object }[] }[]>;
  getSingleMetric(name: string): object | undefined;
}

export interface LibraryPushgateway<_C extends RegistryContentType> {
  pushAdd(parameters: PushParameters): Promise<{ resp?: unknown; body?: unknown }>;
  push(parameters: PushParameters): Promise<{ resp?: unknown; body?: unknown }>;
  delete(parameters: PushParameters): Promise<{ resp?: unknown; body?: unknown }>;
}

interface PushParameters {
  jobName: string;
  groupings?: Record<string, string>;
}

export interface DefaultMetricsOptions {
  /** Begins the names. */
  prefix?: string;
  /** Labels that each series has. */
  labels?: object;
  /** Upper bounds of `nodejs_gc_duration_seconds`. */
  gcDurationBuckets?: number[];
  /** Milliseconds between two measurements of the event loop's delay. */
  eventLoopMonitoringPrecision?: number;
}

interface Library {
  readonly Registry: {
    new <C extends RegistryContentType = PrometheusContentType>(contentType?: C): LibraryRegistry<C>;
    readonly PROMETHEUS_CONTENT_TYPE: PrometheusContentType;
    readonly OPENMETRICS_CONTENT_TYPE: OpenMetricsContentType;
    merge(registers: LibraryRegistry[]): LibraryRegistry;
  };
  readonly AggregatorRegistry: {
    new <C extends RegistryContentType>(contentType?: C): LibraryAggregatorRegistry<C>;
    readonly PROMETHEUS_CONTENT_TYPE: PrometheusContentType;
    readonly OPENMETRICS_CONTENT_TYPE: OpenMetricsContentType;
    merge(registers: LibraryRegistry[]): LibraryRegistry;
    aggregate<C extends RegistryContentType>(metrics: object[]): LibraryRegistry<C>;
    setRegistries(registries: LibraryRegistry | LibraryRegistry[]): void;
  };
  readonly collectDefaultMetrics: {
    (options: DefaultMetricsOptions & { register: LibraryRegistry }): void;
    readonly metricsList: string[];
  };
  readonly Pushgateway: new <C extends RegistryContentType = PrometheusContentType>(
    url: string,
    options?: object | null,
    registry?: LibraryRegistry<C>,
  ) => LibraryPushgateway<C>;
  linearBuckets(start: number, width: number, count: number): number[];
  exponentialBuckets(start: number, factor: number, count: number): number[];
  validateMetricName(name: string): boolean;
}

/** @returns the registry, its content type and default labels, with these metrics in the place of its own */
export function withMetrics<R extends { getMetricsAsArray(): object[] }>(registry: R, metrics: readonly object[]): R {
  return Object.create(registry, { getMetricsAsArray: { value: () => metrics } });
}

/** The first that is installed is used. */
const NAMES = ['prom-client', '@prometheus-io/client'];

/** prom-client, or its successor. */
export const library: Library = loadLibrary();

/** @throws {Error} when neither is installed */
function loadLibrary(): Library {
  const require = createRequire(import.meta.url);
  const name = NAMES.find((each) => isInstalled(each, require));
  if (name !== undefined) return require(name);
  throw new Error(
    '@techcommerce/cluster-metrics needs prom-client beside it: run "npm install prom-client@15", or "npm install @prometheus-io/client" with Node.js 22 or newer',
  );
}

function isInstalled(name: string, require: NodeJS.Require): boolean {
  try {
    require.resolve(name);
    return true;
  } catch {
    return false;
  }
}
