import type { ClusterStores } from './cluster-stores.ts';
import { expose, type View } from './exposition.ts';
import type { SelfMetrics } from './self-metrics.ts';

/** No living worker has this place. */
export class UnknownWorkerError extends RangeError {}

/** One gathering, shared by all scrapes that came together. */
export class Scrape {
  readonly #view: View;
  readonly #stores: ClusterStores;
  readonly #self: SelfMetrics;
  /** Not yet told with a text. */
  #gatherMs: number;
  readonly #texts = new Map<string, string>();
  readonly #bytes = new Map<string, Buffer>();

  /** Gathers at once. @param gather reads and merges all stores */
  constructor(gather: () => View, stores: ClusterStores, self: SelfMetrics) {
    const startedAt = performance.now();
    this.#view = gather();
    this.#gatherMs = performance.now() - startedAt;
    this.#stores = stores;
    this.#self = self;
  }

  /**
   * @param worker one place's living process alone; undefined shows everything
   * @throws {UnknownWorkerError}
   */
  text(openMetrics: boolean, worker?: string): string {
    const key = keyOf(openMetrics, worker);
    let text = this.#texts.get(key);
    if (text !== undefined) return text;
    const startedAt = performance.now();
    text = expose(this.#viewOf(worker), openMetrics);
    // Seen from the next scrape on.
    this.#self.scrapeDuration.observe((this.#gatherMs + performance.now() - startedAt) / 1000);
    this.#gatherMs = 0;
    this.#texts.set(key, text);
    return text;
  }

  /** The same in UTF-8: one buffer for all who ask, so that it can also be compressed once for all. */
  bytes(openMetrics: boolean, worker?: string): Buffer {
    const key = keyOf(openMetrics, worker);
    const bytes = this.#bytes.get(key) ?? Buffer.from(this.text(openMetrics, worker));
    this.#bytes.set(key, bytes);
    return bytes;
  }

  #viewOf(worker: string | undefined): View {
    const view = worker === undefined ? this.#view : this.#stores.alone(worker);
    if (view === null) throw new UnknownWorkerError(`There is no worker ${worker}`);
    return view;
  }
}

function keyOf(openMetrics: boolean, worker = ''): string {
  return `${openMetrics} ${worker}`;
}
