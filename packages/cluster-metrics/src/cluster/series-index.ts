import { SCHEMA } from '../store/bins.ts';
import { type Description, type LabelTuple, shapeDifference, UNKNOWN_START } from '../store/description.ts';
import { slotsOf } from '../store/layout.ts';
import { SlotTable } from '../store/slot-table.ts';
import { copyTo } from '../store/window.ts';
import type { Labels } from './types.ts';

/** One series of the whole cluster. */
export interface Series {
  /** The labels as they are printed, `a="b",c="d"`, without braces. */
  readonly labelText: string;
  /** The same as an object, frozen. */
  readonly labels: Labels;
  /** The slot of its first merged value; for their order see layout.ts. */
  readonly slot: number;
  /** The first slots of its bins, by chunk; of a summary or a native histogram. */
  readonly chunks: Map<number, number>;
  /** When its merged values were 0, in milliseconds since 1970: when the first process made it. See `startOf`. */
  startMs: number;
  /** The schema and the zero threshold of its native buckets, as they were shown last. */
  schema: number;
  zeroThreshold: number;
  /** Number of living processes that have it and have not removed it. */
  holders: number;
  /** Number of living processes that have it and have removed it. */
  removers: number;
  /** Whether the page leaves it out, see `settleRemoval`. */
  isRemoved: boolean;
}

/**
 * A series is removed when all living processes that have it have removed it, and is back when one has it again. While no
 * living process has it, it stays as it was: the death of a worker that removed it brings nothing back.
 */
export function settleRemoval(series: Series): void {
  if (series.holders > 0) series.isRemoved = false;
  else if (series.removers > 0) series.isRemoved = true;
}

/** One metric of the whole cluster, in one shape. */
export interface Family {
  /** From the process that was read last, where a worker comes before the primary. The labels keep their first order. */
  description: Description;
  readonly series: Map<string, Series>;
  /** Number of living workers that have it. */
  workers: number;
  /** Whether the primary's own registries have it. */
  isOwn: boolean;
  /** Nothing of it was shown before this time, in milliseconds since 1970: it may have replaced another shape. */
  sinceMs: number;
}

/**
 * The start of a series, in milliseconds since 1970: from then on, its merged values have grown from 0. It stays as long as
 * the primary lives, and the series keeps its shape. Null when it is unknown.
 */
export function startOf({ sinceMs }: Family, { startMs }: Series): number | null {
  return startMs === UNKNOWN_START ? null : Math.max(sinceMs, startMs);
}

/** The families of one name. */
interface Name {
  /** The family that is printed. */
  shown: Family;
  /** Families of other shapes, the oldest first. They are counted, and printed when they take over. */
  hidden: Family[];
}

/**
 * Every metric and series that any process has had, and the slots of its merged values. It stops growing when every label
 * value has been seen once, as a replacement has the same series as its predecessor.
 *
 * A reload may bring code in which a metric has another shape. The former shape is shown until no living worker has it.
 * Then the youngest shape takes over, with all that it has counted, and the former one is forgotten.
 */
export class SeriesIndex {
  readonly #names = new Map<string, Name>();
  /** Names with more than one shape. */
  readonly #contested = new Set<Name>();
  /** The kind of each merged value. */
  readonly slots = new SlotTable();
  #values = new Float64Array(1024);
  #rests = new Float64Array(1024);
  #slotsInUse = 0;
  /** First slots of forgotten series and chunks, by length. */
  readonly #free = new Map<number, number[]>();
  readonly #sinceMs: number;
  /** Series that no view has shown yet. */
  readonly #young = new Set<Series>();
  /** When `settle` was called last, in milliseconds since 1970. */
  #settledAtMs: number;

  /** @param sinceMs nothing was counted before this time, in milliseconds since 1970 */
  constructor(sinceMs: number) {
    this.#sinceMs = sinceMs;
    this.#settledAtMs = sinceMs;
  }

  /**
   * The merged values. Totals, counts and sums are those of all processes that ever lived. A gauge is
   * `[number of living processes that know it, value]`. Replaced by a larger array when it grows: ask for it anew at each use.
   */
  get values(): Float64Array {
    return this.#values;
  }

  /** The rests of the merged values, by slot: see sums.ts. Replaced together with them. */
  get rests(): Float64Array {
    return this.#rests;
  }

  /**
   * The family of each name that is shown.
   *
   * @param has whether the processes that are shown have a family: if they have a hidden one only, that one is returned
   */
  families(has: (family: Family) => boolean = () => true): Family[] {
    return Array.from(this.#names.values(), ({ shown, hidden }) => (has(shown) ? shown : (hidden.find(has) ?? shown)));
  }

  /** Clears all gauges: each merge begins anew. */
  clearGauges(): void {
    for (const { shown, hidden } of this.#names.values()) {
      for (const { description, series } of [shown, ...hidden]) {
        if (description.type !== 'gauge') continue;
        for (const { slot } of series.values()) this.#clear(slot, 2);
      }
    }
  }

  /**
   * The family of a process' metric.
   *
   * @param isOwn whether the process is the primary itself
   * @returns also the conflict, when this shape of the name is new and there is another one
   */
  family(description: Description, isOwn: boolean): { family: Family; conflict: string | null } {
    const name = this.#names.get(description.name);
    const known =
      name && [name.shown, ...name.hidden].find((each) => shapeDifference(each.description, description) === null);
    const family = known ?? { description, series: new Map(), workers: 0, isOwn, sinceMs: this.#sinceMs };
    if (!isOwn) family.workers++;
    family.isOwn ||= isOwn;
    if (!isOwn || family.workers === 0) {
      family.description = { ...description, labelNames: family.description.labelNames };
    }
    if (name === undefined) this.#names.set(description.name, { shown: family, hidden: [] });
    if (name === undefined || known !== undefined) return { family, conflict: null };
    name.hidden.push(family);
    this.#contested.add(name);
    const difference = shapeDifference(name.shown.description, description);
    const conflict =
      isOwn || name.shown.workers === 0
        ? `${description.name} has not the same ${difference} in the primary or in former workers: living workers' is shown`
        : `${description.name} has not the same ${difference} in all workers: the former is shown until none of them has it`;
    return { family, conflict };
  }

  /**
   * Call it before each view. Lets the youngest shape of a metric take over when no living worker has the shown one. What
   * is shown from now on keeps its start.
   */
  settle(): void {
    this.#settleShapes();
    this.#young.clear();
    this.#settledAtMs = Date.now();
  }

  #settleShapes(): void {
    for (const name of this.#contested) {
      const next = name.shown.workers > 0 ? undefined : name.hidden.findLast(({ workers }) => workers > 0);
      if (next === undefined) continue;
      const others = [name.shown, ...name.hidden].filter((family) => family !== next);
      name.shown = next;
      next.sinceMs = this.#settledAtMs;
      name.hidden = others.filter(({ workers, isOwn }) => workers > 0 || isOwn);
      for (const family of others) if (!name.hidden.includes(family)) this.#forget(family);
      if (name.hidden.length === 0) this.#contested.delete(name);
    }
  }

  /**
   * @param labelNames in the order of the labels, which need not be the family's
   * @param startMs a time at which the process' values were 0
   */
  series(family: Family, labelNames: readonly string[], labels: LabelTuple, startMs = Date.now()): Series {
    const inOrder = family.description.labelNames.map((name) => labels[labelNames.indexOf(name)] ?? null);
    const labelText = printLabels(family.description.labelNames, inOrder);
    let series = family.series.get(labelText);
    if (series === undefined) {
      const slot = this.#take(family);
      const byName = labelsOf(family.description.labelNames, inOrder);
      series = {
        labelText,
        labels: byName,
        slot,
        chunks: new Map(),
        startMs,
        schema: SCHEMA,
        zeroThreshold: 0,
        holders: 0,
        removers: 0,
        isRemoved: false,
      };
      family.series.set(labelText, series);
      this.#young.add(series);
    } else if (this.#young.has(series)) {
      series.startMs = Math.min(series.startMs, startMs);
    }
    return series;
  }

  chunk(family: Family, series: Series, chunk: number): number {
    let slot = series.chunks.get(chunk);
    if (slot === undefined) {
      slot = this.#take(family, chunk);
      series.chunks.set(chunk, slot);
    }
    return slot;
  }

  #take(family: Family, chunk?: number): number {
    const length = slotsOf(family.description, chunk);
    const first = this.#free.get(length)?.pop() ?? this.#grow(length);
    this.slots.add(family, first, chunk);
    return first;
  }

  /** @returns the first of new slots */
  #grow(length: number): number {
    const first = this.#slotsInUse;
    this.#slotsInUse += length;
    if (this.#slotsInUse > this.#values.length) {
      const room = Math.max(2 * this.#values.length, this.#slotsInUse);
      this.#values = copyTo(this.#values, room);
      this.#rests = copyTo(this.#rests, room);
    }
    return first;
  }

  #forget(family: Family): void {
    this.slots.windows.remove(family);
    for (const { slot, chunks } of family.series.values()) {
      this.#release(slot, slotsOf(family.description, undefined));
      for (const [chunk, first] of chunks) this.#release(first, slotsOf(family.description, chunk));
    }
  }

  #clear(first: number, length: number): void {
    this.#values.fill(0, first, first + length);
    this.#rests.fill(0, first, first + length);
  }

  #release(first: number, length: number): void {
    this.#clear(first, length);
    const free = this.#free.get(length);
    if (free === undefined) this.#free.set(length, [first]);
    else free.push(first);
  }
}

function labelsOf(names: readonly string[], values: LabelTuple): Labels {
  const present = names.flatMap((name, i) => (values[i] == null ? [] : [[name, values[i]]]));
  return Object.freeze(Object.fromEntries(present));
}

function printLabels(names: readonly string[], values: LabelTuple): string {
  return names.flatMap((name, i) => (values[i] == null ? [] : [`${name}="${escapeLabel(values[i])}"`])).join(',');
}

/** https://prometheus.io/docs/instrumenting/exposition_formats/#comments-help-text-and-type-information */
export function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"');
}
