import { isWorkerRegistry } from '../instruments/checks.ts';
import { collectDefaults } from './default-metrics.ts';
import {
  type DefaultMetricsOptions,
  type LibraryRegistry,
  library,
  type PrometheusContentType,
  type RegistryContentType,
} from './library.ts';
import { WorkerRegistry } from './worker-registry.ts';

/*
 * The names that prom-client exports beside its metrics and registries, for code that changes its import.
 */

export const { linearBuckets, exponentialBuckets, validateMetricName } = library;

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

/** prom-client's Pushgateway. It must be given a registry: the library's default one holds none of our metrics. */
export class Pushgateway<C extends RegistryContentType = PrometheusContentType> extends library.Pushgateway<C> {
  /**
   * @param registry must be given; optional in the types alone, as in prom-client's
   * @throws {TypeError} without a registry
   */
  constructor(url: string, options?: object | null, registry?: LibraryRegistry<C>) {
    if (!registry) {
      throw new TypeError('Pushgateway needs a registry: write new Pushgateway(url, options, registry)');
    }
    super(url, options, registry);
  }
}

/** Methods that a WorkerRegistry refuses, with what to write instead. */
const REFUSED = ['clear', 'resetMetrics', 'removeSingleMetric'] as const satisfies (keyof WorkerRegistry)[];

/**
 * prom-client's default registry, which this package does not have: each process has to name its store.
 *
 * @throws {TypeError} at each use, with what to write
 */
export const register: WorkerRegistry = new Proxy(Object.create(null), {
  get(_, property) {
    const refused = REFUSED.find((name) => name === property);
    if (refused !== undefined) return WorkerRegistry.prototype[refused];
    throw new TypeError(
      `There is no default registry: in the place of register.${String(property)} write registry.${String(property)}, with ${HOW_TO_MAKE_ONE}; the page of the whole cluster is that of new ClusterRegistry({ directory })`,
    );
  },
});
