import { type Description, type LabelTuple, shapeDifference } from '../store/description.ts';
import { slotsOf } from '../store/layout.ts';
import { SlotTable } from '../store/slot-table.ts';
import { copyTo } from '../store/window.ts';

/** One series of the whole cluster. */
export interface Series {
  /** Its labels as they are printed, `a="b",c="d"`, without braces. */
  readonly labelText: string;
  /** Its first value among the merged ones, in the order that layout.ts tells. */
  readonly slot: number;
  /** Of a summary: the first slots of its bins, by chunk. */
  readonly chunks: Map<number, number>;
  /** How many living processes have it, and have not removed it. */
  holders: number;
  /** How many living processes have it, and have removed it. */
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
  /** As the process says that was met last, a worker before the primary; but its labels keep their first order. */
  description: Description;
  readonly series: Map<string, Series>;
  /** How many of the living workers have it. */
  workers: number;
  /** Whether the primary's own registries have it. */
  isOwn: boolean;
}

/** The families of one name. */
interface Name {
  /** The one that is printed. */
  shown: Family;
  /** Others, of other shapes, the oldest first: counted, and printed when their time comes. */
  hidden: Family[];
}

/**
 * Every metric and series that any process has had, and where its merged values lie. It only grows, and ends growing
 * when every label value has been seen once: a replacement brings the same series as its predecessor.
 *
 * A metric may change its shape while the primary lives, since a reload brings new code. What is shown keeps its shape
 * until no living worker has it; then the youngest shape takes over, with all that it has counted, and the former is
 * forgotten.
 */
export class SeriesIndex {
  readonly #names = new Map<string, Name>();
  /** Names with more than one shape. */
  readonly #contested = new Set<Name>();
  /** What each merged value is. */
  readonly slots = new SlotTable();
  #values = new Float64Array(1024);
  #rests = new Float64Array(1024);
  #slotsInUse = 0;
  /** First slots of what was forgotten, by length. */
  readonly #free = new Map<number, number[]>();

  /**
   * The merged values. Totals, counts and sums are those of all processes that ever lived; of a gauge it is
   * `[how many living processes know it, value]`. Grows by being replaced: ask for it anew at each use.
   */
  get values(): Float64Array {
    return this.#values;
  }

  /** What is too small for the merged values, by slot: see sums.ts. Replaced together with them. */
  get rests(): Float64Array {
    return this.#rests;
  }

  /**
   * One family of each name: the one that is shown.
   *
   * @param has for some processes alone: where they have the metric in another shape only, that one
   */
  families(has: (family: Family) => boolean = () => true): Family[] {
    return Array.from(this.#names.values(), ({ shown, hidden }) => (has(shown) ? shown : (hidden.find(has) ?? shown)));
  }

  /** Forgets what gauges were: they are merged anew each time. */
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
   * @returns also what is in conflict, when the name is met in this shape for the first time and has another one
   */
  family(description: Description, isOwn: boolean): { family: Family; conflict: string | null } {
    const name = this.#names.get(description.name);
    const known =
      name && [name.shown, ...name.hidden].find((each) => shapeDifference(each.description, description) === null);
    const family = known ?? { description, series: new Map(), workers: 0, isOwn };
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

  /** Lets the youngest shape of a metric take over when no living worker has the one that is shown. */
  settleShapes(): void {
    for (const name of this.#contested) {
      const next = name.shown.workers > 0 ? undefined : name.hidden.findLast(({ workers }) => workers > 0);
      if (next === undefined) continue;
      const others = [name.shown, ...name.hidden].filter((family) => family !== next);
      name.shown = next;
      name.hidden = others.filter(({ workers, isOwn }) => workers > 0 || isOwn);
      for (const family of others) if (!name.hidden.includes(family)) this.#forget(family);
      if (name.hidden.length === 0) this.#contested.delete(name);
    }
  }

  /** @param labelNames in the order of the labels, which need not be the family's */
  series(family: Family, labelNames: readonly string[], labels: LabelTuple): Series {
    const inOrder = family.description.labelNames.map((name) => labels[labelNames.indexOf(name)] ?? null);
    const labelText = printLabels(family.description.labelNames, inOrder);
    let series = family.series.get(labelText);
    if (series === undefined) {
      const slot = this.#take(family);
      series = { labelText, slot, chunks: new Map(), holders: 0, removers: 0, isRemoved: false };
      family.series.set(labelText, series);
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

function printLabels(names: readonly string[], values: LabelTuple): string {
  return names.flatMap((name, i) => (values[i] == null ? [] : [`${name}="${escapeLabel(values[i])}"`])).join(',');
}

/** https://prometheus.io/docs/instrumenting/exposition_formats/#comments-help-text-and-type-information */
function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"');
}
