import { type Metric, Registry, Summary } from 'prom-client';
import { Instrument } from './instrument.ts';
import { Mirror } from './mirror.ts';
import { Store } from './store.ts';

const SAMPLE_MS = 1000;

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
    for (const metric of this.getMetricsAsArray() as unknown as (Instrument<string, unknown> | Metric)[]) {
      if (metric instanceof Instrument) await metric.collect();
      else await this.#mirror.copy(metric);
    }
  }

  /** Whether it is kept up to date by itself. */
  get isSampled(): boolean {
    return this.#samplers > 0;
  }

  /**
   * Runs `sample()` now and every second, by a timer that keeps no process alive.
   *
   * @param onProblem told when a `collect` function throws; sampling goes on
   * @returns stops it
   */
  sampleEverySecond(onProblem: (problem: Error) => void): () => void {
    const sample = () => this.sample().catch(onProblem);
    const timer = setInterval(sample, SAMPLE_MS).unref();
    this.#samplers++;
    sample();
    return () => {
      clearInterval(timer);
      this.#samplers--;
    };
  }

  /** @throws {Error} always: counters never go back */
  override resetMetrics(): void {
    throw new Error('The metrics of a store never go back; a gauge has its own reset()');
  }

  /** @throws {Error} always: a label of every series has to be among its metric's label names */
  override setDefaultLabels(): void {
    throw new Error('A store has no default labels: name the label in labelNames');
  }
}
