import { inspect } from 'node:util';
import {
  checkForeign,
  checkLabelNames,
  isInstrument,
  isStore,
  namesOnPage,
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
  /** Called when a `collect` function throws. Its metric keeps its last values, and sampling goes on. */
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
  /** Used instead of the library's own collection: in prom-client's, no metric may have the name `constructor`. */
  readonly #metrics = new Map<string, SampledMetric>();
  /** Each name of a family or sample, with the name of its metric. */
  readonly #namesOnPage = new Map<string, string>();
  #defaultLabels: ReadonlyMap<string, string> = new Map();
  #samplers = 0;

  /**
   * @param store `openStore(…)`. Default: a store in memory, for the primary and for tests
   * @throws {TypeError} when it is no store. A content type, which prom-client's constructor takes, is none
   */
  constructor(store: Store = new Store()) {
    super();
    if (!isStore(store)) {
      throw new TypeError(
        `Write new WorkerRegistry(openStore({ directory, worker })), not of ${inspect(store, { depth: -1 })}`,
      );
    }
    this.store = store;
    this.#mirror = new Mirror(store);
  }

  /**
   * @throws {TypeError} for prom-client's Summary: quantiles that were computed already can't be merged truthfully
   * @throws {Error} when the name is taken, also by a sample of another metric, or for what Prometheus would reject
   */
  override registerMetric(metric: AnyMetric): void {
    const registered = metric as SampledMetric & { readonly name: string };
    const { name } = registered;
    if (!isInstrument(metric)) checkForeign(metric);
    const known = this.#metrics.get(name);
    if (known === registered) return;
    if (known !== undefined) throw new Error(`A metric with the name ${name} has already been registered.`);
    const names = namesOnPage(registered);
    const shared = names.find((each) => this.#namesOnPage.has(each));
    if (shared !== undefined) {
      throw new Error(
        `${name} collides with ${this.#namesOnPage.get(shared)}: in Prometheus' format or in OpenMetrics, both would be shown as ${shared}. Give one of them another name`,
      );
    }
    this.#metrics.set(name, registered);
    for (const each of names) this.#namesOnPage.set(each, name);
  }

  /** @param aggregator lists only the metrics with this aggregator. Default: all */
  override getMetricsAsArray(aggregator?: string): MetricObject[] {
    const metrics = [...this.#metrics.values()] as unknown as MetricObject[];
    return aggregator === undefined ? metrics : metrics.filter((metric) => metric.aggregator === aggregator);
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
   * Brings the store up to date: runs the `collect` functions and copies prom-client's own metrics.
   *
   * @throws the first error of a `collect`, after all others were sampled
   */
  async sample(): Promise<void> {
    const errors: unknown[] = [];
    for (const [name, metric] of this.#metrics) {
      await this.#sampleOne(name, metric).catch((error) => errors.push(error));
    }
    if (errors.length > 0) throw errors[0];
  }

  /** Whether a timer keeps the store up to date, see `sampleRegularly`. */
  get isSampled(): boolean {
    return this.#samplers > 0;
  }

  /**
   * Samples now and then twice a second. The timer keeps no process alive. A `collect` that has not ended is not called
   * again, and holds up no other metric.
   *
   * @returns a function that stops it
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

  /** @throws {Error} always: its series would stay in the store and on the page, and be updated no more */
  override removeSingleMetric(name: string): void {
    throw new Error(`${name} can't be removed from its store: to hide its series, call remove(labels) of the metric`);
  }

  /** @throws {Error} always, see `removeSingleMetric` */
  override clear(): void {
    throw new Error(
      'clear() would take totals back: in a test, make a new WorkerRegistry(); to hide series, call remove(labels) of the metric',
    );
  }

  /** @throws {Error} always: counters never go back */
  override resetMetrics(): void {
    throw new Error('Totals never go back: in a test, make a new WorkerRegistry(); a gauge has its own reset()');
  }

  /**
   * Gives each series these labels, unless its metric has a label of that name itself.
   *
   * @throws {TypeError} when it is no object
   * @throws {Error} when a metric is registered already, or for what Prometheus would reject
   */
  override setDefaultLabels(labels: object): void {
    if (typeof labels !== 'object' || labels === null) {
      throw new TypeError("setDefaultLabels takes an object: write setDefaultLabels({ app: 'shop' })");
    }
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

  /** @param name the name at registration */
  async #sampleOne(name: string, metric: SampledMetric): Promise<void> {
    if (isInstrument(metric)) await metric.collect();
    else await this.#mirror.copy(metric, name, Object.fromEntries(this.#defaultLabels));
  }
}
