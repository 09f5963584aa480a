import type { Metric, Registry, RegistryContentType } from 'prom-client';
import { checkForeign, checkLabelNames } from './checks.ts';
import { type Description, shapeDifference } from './description.ts';
import type { JsonMetric, JsonValue } from './instrument.ts';
import { samplingWarnings } from './sampling-warnings.ts';
import { SeriesMap } from './series-map.ts';
import { Store } from './store.ts';

interface Mirrored {
  readonly description: Description;
  readonly series: SeriesMap<number>;
}

/** Copies prom-client's own counters, gauges and histograms into a store. */
export class Mirror {
  readonly #store: Store;
  readonly #mirrored = new Map<string, Mirrored>();
  /** Of each slot that was reset: what it had counted until then. */
  readonly #kept = new Map<number, number>();

  constructor(store: Store) {
    this.#store = store;
  }

  /**
   * @param defaultLabels what each series has, unless it has a label of that name itself
   * @throws {Error} when the metric is a summary, or what Prometheus would reject
   */
  async copy(metric: Metric, defaultLabels: object = {}): Promise<void> {
    checkForeign(metric);
    const json = (await metric.get()) as unknown as JsonMetric;
    // A metric whose labels or buckets are not known yet has nothing to copy either.
    if (json.values.length === 0 && !this.#mirrored.has(json.name)) return;
    const { description, series } = this.#mirrorOf(json, labelNamesOf(metric, json, defaultLabels));
    if (description.type === 'gauge') this.#unsetGauges(series);
    let buckets: number[] = [];
    let bucketsBelow = 0;
    for (const { labels, value, metricName } of json.values) {
      const first = series.at({ ...defaultLabels, ...labels });
      if (description.type === 'gauge') {
        this.#write(first, 1);
        this.#write(first + 1, value);
      } else if (description.type === 'counter') {
        this.#advance(first, [value], 0);
      } else if (metricName?.endsWith('_bucket')) {
        const bucket = this.#bucketOf(description, labels.le);
        if (bucket === 0) [buckets, bucketsBelow] = [[], 0];
        // Two of them where +Inf was among the buckets.
        buckets[bucket] = (buckets[bucket] ?? 0) + value - bucketsBelow;
        bucketsBelow = value;
      } else if (metricName?.endsWith('_sum')) {
        // Comes after its buckets. It alone may go back by itself, of negative values.
        this.#advance(first, [value, ...buckets], 1);
      }
    }
  }

  /**
   * prom-client's own may be reset; what was counted stays counted.
   *
   * @param slot of the first value
   * @param telling index of the first value that only a reset makes smaller
   */
  #advance(slot: number, values: readonly number[], telling: number): void {
    const isReset = values.some((value, i) => {
      const before = this.#store.values[slot + i] as number;
      // A sum that was infinite, a total that was NaN, come back by a reset alone.
      if (!Number.isFinite(before)) return Number.isFinite(value);
      return i >= telling && this.#keptOf(slot + i) + value < before;
    });
    for (const [i, value] of values.entries()) {
      if (isReset) this.#kept.set(slot + i, this.#store.values[slot + i] as number);
      this.#write(slot + i, this.#keptOf(slot + i) + value);
    }
  }

  #keptOf(slot: number): number {
    return this.#kept.get(slot) ?? 0;
  }

  #write(slot: number, value: number): void {
    if (this.#store.values[slot] === value) return;
    this.#store.values[slot] = value;
    this.#store.touch(slot);
  }

  /** A series that prom-client does not list any more was removed. */
  #unsetGauges(series: SeriesMap<number>): void {
    for (const each of series.all) this.#write(each.series, 0);
  }

  #bucketOf({ buckets = [] }: Description, le: string | number | undefined): number {
    const index = buckets.indexOf(Number(le));
    return index === -1 ? buckets.length : index;
  }

  #mirrorOf(json: JsonMetric, labelNames: readonly string[]): Mirrored {
    const known = this.#mirrored.get(json.name);
    if (known !== undefined) {
      const difference =
        json.values.length > 0 && shapeDifference(known.description, describe(json, known.description.labelNames));
      if (difference) {
        throw new Error(
          `${json.name} was removed and made again with another shape (${difference}), which can't go on where the first one ended: give it another name`,
        );
      }
      return known;
    }
    checkLabelNames(labelNames);
    const description = describe(json, labelNames);
    const metric = this.#store.addMetric(description);
    const series = new SeriesMap(description.labelNames, (labels) => this.#store.addSeries(metric, labels));
    const mirrored = { description, series };
    this.#mirrored.set(json.name, mirrored);
    return mirrored;
  }
}

/** A plain registry of prom-client, copied into a store in memory, with its default labels. */
export class MirroredRegistry {
  readonly store = new Store();
  readonly isSampled = false;
  readonly #mirror = new Mirror(this.store);
  readonly #registry: Registry<RegistryContentType>;
  readonly #warnOnce = samplingWarnings();

  /** @throws {Error} when it holds what can't be merged, a summary, or what Prometheus would reject */
  constructor(registry: Registry<RegistryContentType>) {
    this.#registry = registry;
    for (const metric of registry.getMetricsAsArray()) checkForeign(metric);
  }

  /**
   * A metric whose `collect` throws keeps its last values, and one that came later and can't be merged is left out: a
   * process warning tells of each, once.
   */
  async sample(): Promise<void> {
    const defaultLabels = defaultLabelsOf(this.#registry);
    for (const metric of this.#registry.getMetricsAsArray() as unknown as Metric[]) {
      try {
        await this.#mirror.copy(metric, defaultLabels);
      } catch (error) {
        this.#warnOnce(error);
      }
    }
  }
}

function describe(json: JsonMetric, labelNames: readonly string[]): Description {
  const { name, type, aggregator = 'sum', values } = json;
  if (!COPIED.includes(type)) throw new TypeError(`A metric of type ${type} can't be merged: ${name}`);
  const common = { name, help: String(json.help), type, aggregator, labelNames };
  return type === 'histogram' ? { ...common, buckets: bucketsOf(values) } : common;
}

const COPIED = ['counter', 'gauge', 'histogram'];

/** prom-client's registries have them, though its types don't say so. */
function defaultLabelsOf(registry: object): object {
  return '_defaultLabels' in registry ? Object(registry._defaultLabels) : {};
}

/** prom-client's metrics know their label names, though its types don't say so. */
function labelNamesOf(metric: Metric, json: JsonMetric, defaultLabels: object): readonly string[] {
  const own =
    'labelNames' in metric && Array.isArray(metric.labelNames)
      ? metric.labelNames.map(String)
      : json.values.flatMap(({ labels }) => Object.keys(labels));
  const names = new Set([...own, ...Object.keys(defaultLabels)]);
  if (json.type === 'histogram') names.delete('le');
  return [...names];
}

function bucketsOf(values: readonly JsonValue[]): number[] {
  return [...new Set(values.map(({ labels }) => Number(labels.le)))].filter(Number.isFinite);
}
