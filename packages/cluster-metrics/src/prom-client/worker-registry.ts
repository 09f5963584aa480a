import { inspect } from 'node:util';
import {
  checkForeign,
  checkLabelNames,
  isInstrument,
  isStore,
  type StoredMetric,
  type StoreRegistry,
} from '../instruments/checks.ts';
import type { MetricObject } from '../instruments/types.ts';
import { Store } from '../store/store.ts';
import {
  type AnyMetric,
  library,
  type Metric,
  type PrometheusContentType,
  type RegistryContentType,
  withMetrics,
} from './library.ts';
import { type LibraryMetric, Mirror } from './mirror.ts';
import { sampleRegularly } from './sampling.ts';

export interface SamplingOptions {
  /** Told when a `collect` function throws; that metric keeps its last values, and sampling goes on. */
  onProblem?: (problem: Error) => void;
}

type SampledMetric = AnyMetric & (StoredMetric | LibraryMetric);

/**
 * The registry of one process: prom-client's `Registry` over a store.
 *
 * This package's metrics keep their values in the store. Those of prom-client, such as its default metrics, are copied
 * into it by `sample()`.
 */
export class WorkerRegistry<C extends RegistryContentType = PrometheusContentType>
  extends library.Registry<C>
  implements StoreRegistry
{
  readonly store: Store;
  readonly #mirror: Mirror;
  /** In the place of prom-client's object, to which a metric may not be called `constructor`. */
  readonly #metrics = new Map<string, SampledMetric>();
  #defaultLabels: ReadonlyMap<string, string> = new Map();
  #samplers = 0;

  /**
   * @param store `openStore(…)`; by default one in memory: in the primary, and in tests
   * @throws {TypeError} when it is no store; unlike prom-client's registry, it is not made from a content type
   */
  constructor(store: Store = new Store()) {
    super();
    if (!isStore(store)) {
      throw new TypeError(`Write new WorkerRegistry(openStore({ directory, worker })), not of ${inspect(store)}`);
    }
    this.store = store;
    this.#mirror = new Mirror(store);
  }

  /**
   * @throws {TypeError} for prom-client's Summary: quantiles that were computed already can't be merged truthfully
   * @throws {Error} when the name is taken, or for what Prometheus would reject
   */
  override registerMetric(metric: AnyMetric): void {
    const registered = metric as SampledMetric & { readonly name: string };
    if (!isInstrument(metric)) checkForeign(metric);
    const known = this.#metrics.get(registered.name);
    if (known !== undefined && known !== registered) {
      throw new Error(`A metric with the name ${registered.name} has already been registered.`);
    }
    this.#metrics.set(registered.name, registered);
  }

  override getMetricsAsArray(): MetricObject[] {
    return [...this.#metrics.values()] as unknown as MetricObject[];
  }

  override getSingleMetric<T extends string>(name: string): Metric<T> | undefined {
    return this.#metrics.get(name) as Metric<T> | undefined;
  }

  /** @throws {Error} when there is no such metric */
  override async getSingleMetricAsString(name: string): Promise<string> {
    const metric = this.#metrics.get(name);
    if (metric === undefined) throw new Error(`There is no metric ${name} in this registry`);
    const text = await withMetrics(this, [metric]).metrics();
    return text.replace(/\n(# EOF\n)?$/, '');
  }

  /**
   * Brings the store up to date: runs the `collect` functions, copies prom-client's own metrics.
   *
   * @throws the first error of a `collect`, when all others have been sampled
   */
  async sample(): Promise<void> {
    const errors: unknown[] = [];
    for (const [name, metric] of this.#metrics) {
      await this.#sampleOne(name, metric).catch((error) => errors.push(error));
    }
    if (errors.length > 0) throw errors[0];
  }

  /** Whether it is kept up to date by itself. */
  get isSampled(): boolean {
    return this.#samplers > 0;
  }

  /**
   * Samples now and twice a second, by a timer that keeps no process alive. A `collect` that has not ended is not called
   * again, and holds up no other metric.
   *
   * @returns stops it
   */
  sampleRegularly({ onProblem = () => {} }: SamplingOptions = {}): () => void {
    const underWay = new Set<SampledMetric>();
    const sampler = sampleRegularly(() => {
      for (const [name, metric] of this.#metrics) {
        if (underWay.has(metric)) continue;
        underWay.add(metric);
        void this.#sampleOne(name, metric)
          .catch(onProblem)
          .finally(() => underWay.delete(metric));
      }
    });
    this.#samplers++;
    return () => {
      void sampler.stop();
      this.#samplers--;
    };
  }

  /** @throws {Error} always: the series would stay in the store, and on the page, with nobody to update them */
  override removeSingleMetric(name: string): void {
    throw new Error(`The store keeps what ${name} has counted: a metric stays; a gauge has its own remove()`);
  }

  /** @throws {Error} always, see `removeSingleMetric` */
  override clear(): void {
    throw new Error('The store keeps what its metrics have counted: they stay');
  }

  /** @throws {Error} always: counters never go back */
  override resetMetrics(): void {
    throw new Error('The metrics of a store never go back; a gauge has its own reset()');
  }

  /**
   * Gives each series these labels, unless its metric has a label of that name itself.
   *
   * @throws {Error} when a metric is registered already, or for what Prometheus would reject
   */
  override setDefaultLabels(labels: object): void {
    if (this.#metrics.size > 0) {
      throw new Error(
        'Set default labels before the first metric is registered: the store keeps the labels of a series',
      );
    }
    const names = Object.keys(labels);
    checkLabelNames(names);
    const reserved = names.find((name) => name === 'le' || name === 'quantile');
    if (reserved !== undefined) throw new Error(`${reserved} is a reserved label keyword`);
    const given = Object.entries(labels).filter(([, value]) => value != null);
    this.#defaultLabels = new Map(given.map(([name, value]) => [name, String(value)]));
    // For `metrics()` and `getMetricsAsJSON()`, which are the library's.
    super.setDefaultLabels(Object.fromEntries(this.#defaultLabels));
  }

  get defaultLabels(): ReadonlyMap<string, string> {
    return this.#defaultLabels;
  }

  /** @param name that it was registered by */
  async #sampleOne(name: string, metric: SampledMetric): Promise<void> {
    if (isInstrument(metric)) await metric.collect();
    else await this.#mirror.copy(metric, name, Object.fromEntries(this.#defaultLabels));
  }
}
