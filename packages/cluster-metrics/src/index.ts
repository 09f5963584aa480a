export {
  ClusterRegistry,
  ClusterRegistry as AggregatorRegistry,
  type ClusterRegistryOptions,
  type ExpositionOptions,
  type ProtobufContentType,
  type SamplesOptions,
  type ScrapeOptions,
} from './cluster/cluster-registry.ts';
export type { Labels, LiveWorker, NativeBuckets, NativeHistogram, Sample } from './cluster/types.ts';
export { createMetricsHandler, type MetricsHandler, type MetricsHandlerOptions } from './http/metrics-handler.ts';
export type { FormatName } from './http/negotiation.ts';
/** Every name of this file, types too, for `import client from '@techcommerce/cluster-metrics'`. */
// biome-ignore lint/performance/noReExportAll: one namespace loads no more than the names themselves
export * as default from './index.ts';
export type { NativeOptions } from './instruments/binned.ts';
export { Counter, type CounterConfiguration } from './instruments/counter.ts';
export { Gauge, type GaugeConfiguration } from './instruments/gauge.ts';
export { Histogram, type HistogramConfiguration } from './instruments/histogram.ts';
export { Summary, type SummaryConfiguration } from './instruments/summary.ts';
export type {
  CollectFunction,
  IncreaseDataWithExemplar,
  LabelValues,
  MetricObject,
  MetricObjectWithValues,
  MetricValue,
  MetricValueWithName,
  ObserveDataWithExemplar,
} from './instruments/types.ts';
export {
  collectDefaultMetrics,
  contentType,
  type DefaultMetricsCollectorConfiguration,
  exponentialBuckets,
  linearBuckets,
  openMetricsContentType,
  Pushgateway,
  prometheusContentType,
  register,
  validateMetricName,
} from './prom-client/compatibility.ts';
export { collectDefaults } from './prom-client/default-metrics.ts';
export type {
  DefaultMetricsOptions,
  Metric,
  OpenMetricsContentType,
  PrometheusContentType,
  RegistryContentType,
} from './prom-client/library.ts';
export { SAMPLE_INTERVAL_MS, SAMPLES_PER_SECOND, type Sampler, sampleRegularly } from './prom-client/sampling.ts';
export { type SamplingOptions, WorkerRegistry, WorkerRegistry as Registry } from './prom-client/worker-registry.ts';
export type { Aggregator, InstrumentType as MetricType } from './store/description.ts';
export type { ProblemKind, StoreProblem } from './store/problems.ts';
export { type OpenStoreOptions, openStore, Store } from './store/store.ts';
export { createStoreDirectory, type StoreDirectory, type StoreDirectoryOptions } from './store/store-directory.ts';
