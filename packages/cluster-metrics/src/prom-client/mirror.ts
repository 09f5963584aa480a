import { checkForeign, checkLabelNames } from '../instruments/checks.ts';
import type { JsonMetric, JsonValue } from '../instruments/instrument.ts';
import { SeriesMap } from '../instruments/series-map.ts';
import { type Description, shapeDifference } from '../store/description.ts';
import { Store } from '../store/store.ts';
import { addGrowth } from '../store/sums.ts';
import { type AnyMetric, type CopiedRegistry, withMetrics } from './library.ts';
import { samplingWarnings } from './sampling.ts';

/** The values of one series in the order of its slots, see `slotsOf`. */
type Values = number[];

/** A metric of prom-client or its successor. */
export interface LibraryMetric extends AnyMetric {
  readonly name: string;
}

/** The values of a metric's series when they were last copied. */
interface Copy {
  readonly series: SeriesMap<Values>;
  /** In milliseconds since 1970. */
  readonly atMs: number;
}

/** The last copy of each metric, by the metric object. */
export type Copied = WeakMap<object, Copy>;

interface Mirrored {
  /** Has the metric's own label names, without default labels. */
  readonly description: Description;
  /** The first slot of each series. */
  readonly slots: SeriesMap<number>;
}

/** Copies counters, gauges and histograms of prom-client or its successor into a store. */
export class Mirror {
  readonly #store: Store;
  readonly #copied: Copied;
  readonly #mirrored = new Map<string, Mirrored>();
  /** For the series that are copied now: when their values were 0. */
  #startMs = performance.timeOrigin;

  /** @param copied shared by mirrors that may copy the same metric, so that its growth is added once */
  constructor(store: Store, copied: Copied = new WeakMap()) {
    this.#store = store;
    this.#copied = copied;
  }

  /**
   * @param name the name at registration: prom-client renames a counter when it prints it as OpenMetrics
   * @param defaultLabels labels for each series, unless it has a label of that name itself
   * @throws {Error} when the metric is a summary, or Prometheus would reject it
   */
  async copy(metric: LibraryMetric, name: string, defaultLabels: object = {}): Promise<void> {
    checkForeign(metric);
    const atMs = Date.now();
    const json: JsonMetric = { ...((await metric.get()) as JsonMetric), name };
    // Labels and buckets may not be known yet, and there is nothing to copy.
    if (json.values.length === 0 && !this.#mirrored.has(name)) return;
    const labelNames = labelNamesOf(metric, json, {});
    const { description, slots } = this.#mirrorOf(json, labelNames, labelNamesOf(metric, json, defaultLabels));
    const copy = this.#copied.get(metric);
    // What the first copy finds has been counted at any time since the process started.
    this.#startMs = copy?.atMs ?? performance.timeOrigin;
    const last = copy?.series ?? new SeriesMap<Values>(slots.labelNames, () => []);
    const now = readSeries(json, description, slots.labelNames);
    this.#copied.set(metric, { series: now, atMs });
    if (description.type === 'gauge') this.#unsetGauges(slots);
    for (const [values, labels] of now.all) {
      const slot = slots.at({ ...defaultLabels, ...labels });
      if (description.type === 'gauge') this.#setGauge(slot, values);
      else this.#addGrowth(slot, last.at(labels), values, description.type);
    }
  }

  /** Unsets the gauges of all other metrics, which are registered no more. What was counted stays counted. */
  keepOnly(names: ReadonlySet<string>): void {
    for (const [name, { description, slots }] of this.#mirrored) {
      if (description.type === 'gauge' && !names.has(name)) this.#unsetGauges(slots);
    }
  }

  /** A metric that was reset, or removed and made again, begins at 0. What it had counted stays counted. */
  #addGrowth(first: number, last: Values, now: Values, type: Description['type']): void {
    const before = isReset(last, now, type) ? [] : last;
    for (const [i, value] of now.entries()) {
      if (Object.is(value, before[i] ?? 0)) continue;
      addGrowth(this.#store.values, this.#store.rests, first + i, before[i] ?? 0, value);
      this.#store.touch(first + i);
    }
  }

  #setGauge(first: number, [value = Number.NaN]: Values): void {
    this.#write(first, 1);
    this.#write(first + 1, value);
  }

  /** Unsets all series; those that prom-client still lists are set again right after. */
  #unsetGauges(slots: SeriesMap<number>): void {
    for (const first of slots.all.keys()) this.#write(first, 0);
  }

  #write(slot: number, value: number): void {
    if (this.#store.values[slot] === value) return;
    this.#store.values[slot] = value;
    this.#store.touch(slot);
  }

  /** @param allNames the label names including default labels */
  #mirrorOf(json: JsonMetric, labelNames: readonly string[], allNames: readonly string[]): Mirrored {
    const known = this.#mirrored.get(json.name);
    if (known !== undefined) {
      const difference = json.values.length > 0 && shapeDifference(known.description, describe(json, labelNames));
      if (difference) {
        throw new Error(
          `${json.name} was removed and made again with another shape (${difference}), which can't go on where the first one ended: give it another name`,
        );
      }
      return known;
    }
    checkLabelNames(allNames);
    const description = describe(json, labelNames);
    const metric = this.#store.addMetric({ ...description, labelNames: allNames });
    const slots = new SeriesMap(allNames, (labels) => this.#store.addSeries(metric, labels, this.#startMs));
    const mirrored = { description, slots };
    this.#mirrored.set(json.name, mirrored);
    return mirrored;
  }
}

/** Copies a registry of prom-client or its successor into a store in memory, with its default labels. */
export class MirroredRegistry {
  readonly store = new Store();
  readonly isSampled = false;
  readonly #registry: CopiedRegistry;
  readonly #isRead: (metric: object) => boolean;
  readonly #mirror: Mirror;
  readonly #warnOnce = samplingWarnings();

  /**
   * @param isRead whether a metric is one of this package's, in a store that the page shows anyway
   * @param copied shared by all registries of a page, see `Mirror`
   * @throws {Error} when it has a summary, which can't be merged, or a metric that Prometheus would reject
   */
  constructor(registry: CopiedRegistry, isRead: (metric: object) => boolean, copied: Copied) {
    this.#registry = registry;
    this.#isRead = isRead;
    this.#mirror = new Mirror(this.store, copied);
    for (const metric of registry.getMetricsAsArray()) if (!isRead(metric)) checkForeign(metric);
  }

  /**
   * Copies each metric. A metric whose `collect` throws keeps its last values; one that was registered later and can't be
   * merged is left out. A process warning names each, once.
   *
   * @param counted metrics that other registries of the page show; this registry's are added to them
   */
  async sample(counted: Set<object>): Promise<void> {
    const defaultLabels = await defaultLabelsOf(this.#registry);
    const names = new Set<string>();
    for (const metric of this.#registry.getMetricsAsArray() as LibraryMetric[]) {
      if (counted.has(metric) || this.#isRead(metric)) continue;
      counted.add(metric);
      const name = registeredName(this.#registry, metric);
      names.add(name);
      try {
        await this.#mirror.copy(metric, name, defaultLabels);
      } catch (error) {
        this.#warnOnce(error);
      }
    }
    this.#mirror.keepOnly(names);
  }
}

/** The values of each series, by the metric's own labels. */
function readSeries(
  { values }: JsonMetric,
  { type, buckets = [] }: Description,
  labelNames: readonly string[],
): SeriesMap<Values> {
  const all = new SeriesMap<Values>(labelNames, () => []);
  let below = 0;
  for (const { labels, value, metricName } of values) {
    const series = all.at(labels);
    if (type !== 'histogram' || metricName?.endsWith('_sum')) {
      series[0] = value;
    } else if (metricName?.endsWith('_bucket')) {
      const index = buckets.indexOf(Number(labels.le));
      const bucket = index === -1 ? buckets.length : index;
      if (bucket === 0) below = 0;
      // Two values belong to this bucket when +Inf was among the buckets.
      series[1 + bucket] = (series[1 + bucket] ?? 0) + value - below;
      below = value;
    }
  }
  return all;
}

/**
 * Only a reset decreases a count, or makes a sum finite again. The sum of a histogram may also decrease by negative
 * observations.
 */
function isReset(last: Values, now: Values, type: Description['type']): boolean {
  return last.some((before, i) => {
    const value = now[i] as number;
    if (!Number.isFinite(before)) return Number.isFinite(value);
    return value < before && (type === 'counter' || i > 0);
  });
}

/** prom-client removes `_total` from a counter's name when it prints it as OpenMetrics; the registry keeps the first name. */
function registeredName(registry: CopiedRegistry, metric: LibraryMetric): string {
  const total = `${metric.name}_total`;
  return registry.getSingleMetric(total) === metric ? total : metric.name;
}

function describe(json: JsonMetric, labelNames: readonly string[]): Description {
  const { name, type, aggregator = 'sum', values } = json;
  if (!COPIED.includes(type)) throw new TypeError(`A metric of type ${type} can't be merged: ${name}`);
  const common = { name, help: String(json.help), type, aggregator, labelNames };
  return type === 'histogram' ? { ...common, buckets: bucketsOf(values) } : common;
}

const COPIED = ['counter', 'gauge', 'histogram'];

/** No method returns the default labels of a registry, but it adds them to each series: here to one without labels. */
async function defaultLabelsOf(registry: CopiedRegistry): Promise<object> {
  const probe = { name: 'probe', get: () => ({ name: 'probe', values: [{ labels: {}, value: 0 }] }) };
  const [metric] = await withMetrics(registry, [probe]).getMetricsAsJSON();
  return metric?.values[0]?.labels ?? {};
}

/** The label names with which the metric was made, if it has them as a property; else those of its series. */
function labelNamesOf(metric: LibraryMetric, json: JsonMetric, defaultLabels: object): readonly string[] {
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
