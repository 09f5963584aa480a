import type { ClusterStores } from './cluster-stores.ts';
import { expose, type View } from './exposition.ts';
import type { SelfMetrics } from './self-metrics.ts';

/** One gathering, shared by all scrapes that came together. */
export class Scrape {
  readonly #view: View;
  readonly #stores: ClusterStores;
  readonly #self: SelfMetrics;
  /** Not yet told with a text. */
  #gatherMs: number;
  readonly #texts = new Map<string, string>();

  /** Gathers at once. @param gather reads and merges all stores */
  constructor(gather: () => View, stores: ClusterStores, self: SelfMetrics) {
    const startedAt = performance.now();
    this.#view = gather();
    this.#gatherMs = performance.now() - startedAt;
    this.#stores = stores;
    this.#self = self;
  }

  all(openMetrics: boolean): string {
    return this.#text(`all ${openMetrics}`, () => expose(this.#view, openMetrics));
  }

  /** @throws {RangeError} when there is no such worker */
  alone(worker: string, openMetrics: boolean): string {
    return this.#text(`${worker} ${openMetrics}`, () => {
      const view = this.#stores.alone(worker);
      if (view === null) throw new RangeError(`There is no worker ${worker}`);
      return expose(view, openMetrics);
    });
  }

  #text(key: string, print: () => string): string {
    let text = this.#texts.get(key);
    if (text !== undefined) return text;
    const startedAt = performance.now();
    text = print();
    // Seen from the next scrape on.
    this.#self.scrapeDuration.observe((this.#gatherMs + performance.now() - startedAt) / 1000);
    this.#gatherMs = 0;
    this.#texts.set(key, text);
    return text;
  }
}
