import { isWorkerRegistry } from '../instruments/checks.ts';
import { collectDefaults } from './default-metrics.ts';
import {
  type DefaultMetricsOptions,
  type LibraryPushgateway,
  library,
  type PrometheusContentType,
  type RegistryContentType,
} from './library.ts';
import type { WorkerRegistry } from './worker-registry.ts';

/*
 * The names that prom-client exports beside its metrics and registries, for code that changes its import.
 */

export const { linearBuckets, exponentialBuckets, validateMetricName, Pushgateway } = library;
export type Pushgateway<C extends RegistryContentType = PrometheusContentType> = LibraryPushgateway<C>;

export const prometheusContentType = library.Registry.PROMETHEUS_CONTENT_TYPE;
export const openMetricsContentType = library.Registry.OPENMETRICS_CONTENT_TYPE;
export const contentType = prometheusContentType;

export interface DefaultMetricsCollectorConfiguration<C extends RegistryContentType = PrometheusContentType>
  extends DefaultMetricsOptions {
  /** Must be given. Optional in the types alone, as in prom-client's. */
  register?: WorkerRegistry<C>;
}

/**
 * `collectDefaults` under prom-client's name.
 *
 * @returns a function that stops it
 * @throws {TypeError} without a WorkerRegistry
 */
export function collectDefaultMetrics<C extends RegistryContentType>({
  register,
  ...options
}: DefaultMetricsCollectorConfiguration<C> = {}): () => void {
  if (isWorkerRegistry(register)) return collectDefaults(register, options);
  throw new TypeError(
    `collectDefaultMetrics needs a WorkerRegistry: write collectDefaultMetrics({ register: registry }), with ${HOW_TO_MAKE_ONE}`,
  );
}
collectDefaultMetrics.metricsList = library.collectDefaultMetrics.metricsList;

const HOW_TO_MAKE_ONE =
  'registry = new WorkerRegistry(openStore({ directory, worker })) in a worker, and registry = new WorkerRegistry() in the primary';

/**
 * prom-client's default registry, which this package does not have: each process has to name its store.
 *
 * @throws {TypeError} at each use, with what to write
 */
export const register: WorkerRegistry = new Proxy(Object.create(null), {
  get(_, property) {
    throw new TypeError(
      `There is no default registry: in the place of register.${String(property)} write registry.${String(property)}, with ${HOW_TO_MAKE_ONE}; the page of the whole cluster is that of new ClusterRegistry({ directory })`,
    );
  },
});
