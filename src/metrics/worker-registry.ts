import { type Metric, Registry, Summary } from 'prom-client';
import { Instrument } from './instrument.ts';
import { Mirror } from './mirror.ts';
import { sampleRegularly } from './sampler.ts';
import { Store } from './store.ts';

export interface SamplingOptions {
  /** Told when a `collect` function throws; that metric keeps its last values, and sampling goes on. */
  onProblem?: (problem: Error) => void;
}

type SampledMetric = Instrument<string, unknown> | Metric;

/**
 * The registry of one process: prom-client's, with a store under it.
 *
 * Our instruments keep their values in the store. prom-client's own, such as its default metrics, are copied into it by
 * `sample()`.
 */
export class WorkerRegistry extends Registry {
  readonly store: Store;
  readonly #mirror: Mirror;
  #samplers = 0;

  /** @param store `openStore(…)`; by default one in memory: in the primary, and in tests */
  constructor(store: Store = new Store()) {
    super();
    this.store = store;
    this.#mirror = new Mirror(store);
  }

  /** @throws {TypeError} for prom-client's Summary: quantiles that were computed already can't be merged truthfully */
  override registerMetric<T extends string>(metric: Metric<T>): void {
    if (metric instanceof Summary) {
      throw new TypeError(
        `prom-client's Summary can't be merged: make ${(metric as { name?: string }).name} with ours`,
      );
    }
    super.registerMetric(metric);
  }

  /** Brings the store up to date: runs the `collect` functions, copies prom-client's own metrics. */
  async sample(): Promise<void> {
    for (const metric of this.#metrics()) await this.#sampleOne(metric);
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
      for (const metric of this.#metrics()) {
        if (underWay.has(metric)) continue;
        underWay.add(metric);
        void this.#sampleOne(metric)
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

  /** @throws {Error} always: a label of every series has to be among its metric's label names */
  override setDefaultLabels(): void {
    throw new Error('A store has no default labels: name the label in labelNames');
  }

  #metrics(): SampledMetric[] {
    return this.getMetricsAsArray() as unknown as SampledMetric[];
  }

  async #sampleOne(metric: SampledMetric): Promise<void> {
    if (metric instanceof Instrument) await metric.collect();
    else await this.#mirror.copy(metric);
  }
}
