import { type Description, type LabelTuple, sameShape } from './description.ts';
import { slotsOf } from './layout.ts';
import { SlotTable } from './slot-table.ts';
import { copyTo } from './window.ts';

/** One series of the whole cluster. */
export interface Series {
  /** Its labels as they are printed, `a="b",c="d"`, without braces. */
  readonly labelText: string;
  /** Its first value among the merged ones, in the order that layout.ts tells. */
  readonly slot: number;
  /** Of a summary: the first slots of its bins, by chunk. */
  readonly chunks: Map<number, number>;
}

/** One metric of the whole cluster. */
export interface Family {
  readonly description: Description;
  readonly series: Map<string, Series>;
}

/**
 * Every metric and series that any process has had, and where its merged values lie. It only grows, and ends growing
 * when every label value has been seen once: a replacement brings the same series as its predecessor.
 */
export class Catalogue {
  readonly families = new Map<string, Family>();
  /** What each merged value is. */
  readonly slots = new SlotTable();
  #values = new Float64Array(1024);
  #rests = new Float64Array(1024);
  #slotsInUse = 0;

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

  /** Forgets what gauges were: they are merged anew each time. */
  clearGauges(): void {
    for (const { description, series } of this.families.values()) {
      if (description.type !== 'gauge') continue;
      for (const { slot } of series.values()) {
        this.#values.fill(0, slot, slot + 2);
        this.#rests.fill(0, slot, slot + 2);
      }
    }
  }

  /** @returns `null` when the name is taken by a metric of another shape */
  family(description: Description): Family | null {
    const known = this.families.get(description.name);
    if (known !== undefined) return sameShape(known.description, description) ? known : null;
    const family = { description, series: new Map() };
    this.families.set(description.name, family);
    return family;
  }

  series(family: Family, labels: LabelTuple): Series {
    const labelText = printLabels(family.description.labelNames, labels);
    let series = family.series.get(labelText);
    if (series === undefined) {
      series = { labelText, slot: this.#take(family.description), chunks: new Map() };
      family.series.set(labelText, series);
    }
    return series;
  }

  chunk(family: Family, series: Series, chunk: number): number {
    let slot = series.chunks.get(chunk);
    if (slot === undefined) {
      slot = this.#take(family.description, chunk);
      series.chunks.set(chunk, slot);
    }
    return slot;
  }

  #take(description: Description, chunk?: number): number {
    const first = this.#slotsInUse;
    this.#slotsInUse += slotsOf(description, chunk);
    if (this.#slotsInUse > this.#values.length) {
      const length = Math.max(2 * this.#values.length, this.#slotsInUse);
      this.#values = copyTo(this.#values, length);
      this.#rests = copyTo(this.#rests, length);
    }
    this.slots.add(description, first, chunk);
    return first;
  }
}

function printLabels(names: readonly string[], values: LabelTuple): string {
  return names.flatMap((name, i) => (values[i] == null ? [] : [`${name}="${escapeLabel(values[i])}"`])).join(',');
}

/** https://prometheus.io/docs/instrumenting/exposition_formats/#comments-help-text-and-type-information */
function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"');
}
