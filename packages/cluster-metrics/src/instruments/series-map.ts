import { inspect } from 'node:util';
import type { LabelTuple } from '../store/description.ts';
import { refuseExemplar } from './exemplar-labels.ts';
import type { LabelValues } from './types.ts';

interface Level<S> {
  readonly next: Map<string | undefined, Level<S>>;
  series: S | undefined;
  /** The series that was here and was removed. */
  removed: S | undefined;
}

/**
 * Finds the series of one metric by their label values. It has one map per label, so that a look-up builds no string.
 */
export class SeriesMap<S> {
  readonly labelNames: readonly string[];
  readonly #create: (labels: LabelTuple) => S;
  readonly #restore: (series: S) => void;
  /** Whether a label has the name of a property that every object inherits, such as `constructor`. */
  readonly #isInherited: boolean;
  readonly #root: Level<S> = newLevel();
  readonly #all = new Map<S, Record<string, string>>();
  /** Removals so far. */
  #removals = 0;

  /** @param restore called when a series that was removed is asked for again */
  constructor(
    labelNames: readonly string[],
    create: (labels: LabelTuple) => S,
    restore: (series: S) => void = () => {},
  ) {
    this.labelNames = labelNames;
    this.#create = create;
    this.#restore = restore;
    this.#isInherited = labelNames.some((name) => name in Object.prototype);
  }

  /** Every series with its labels, in the order in which they were made. */
  get all(): ReadonlyMap<S, Record<string, string>> {
    return this.#all;
  }

  /**
   * A function that returns the series with these labels. It looks for them at its first call, and again after a removal,
   * so that the same series is counted many times for one look-up.
   */
  finder(labels: LabelValues<string>): () => S {
    let found: S | undefined;
    let removals = this.#removals;
    return () => {
      if (found === undefined || removals !== this.#removals) {
        found = this.at(labels);
        removals = this.#removals;
      }
      return found;
    };
  }

  /** The series with these labels, made if it is new. Values become texts, as in prom-client. */
  at(given: LabelValues<string>): S {
    const labels = this.#isInherited ? ownLabels(given) : given;
    let level = this.#root;
    for (let i = 0; i < this.labelNames.length; i++) {
      const value = labels[this.labelNames[i] as string];
      const text = typeof value === 'string' || value === undefined ? value : String(value);
      let next = level.next.get(text);
      if (next === undefined) {
        next = newLevel<S>();
        level.next.set(text, next);
      }
      level = next;
    }
    level.series ??= this.#add(level, labels);
    return level.series;
  }

  /**
   * Removes the series with these labels. It is kept aside, so that `at` finds it again, and looks for it only where it
   * would make a new one.
   *
   * @returns the series with its labels; `undefined` when there is none
   */
  remove(given: LabelValues<string>): [series: S, labels: Record<string, string>] | undefined {
    const labels = ownLabels(given);
    let level: Level<S> | undefined = this.#root;
    for (const name of this.labelNames) {
      level = level?.next.get(labels[name] === undefined ? undefined : String(labels[name]));
    }
    const series = level?.series;
    const known = series !== undefined && this.#all.get(series);
    if (!level || !known) return undefined;
    level.series = undefined;
    level.removed = series;
    this.#all.delete(series);
    this.#removals += 1;
    return [series, known];
  }

  #add(level: Level<S>, given: LabelValues<string>): S {
    const tuple = this.labelNames.map((name) => (given[name] === undefined ? null : String(given[name])));
    const series = level.removed ?? this.#create(tuple);
    if (level.removed !== undefined) this.#restore(level.removed);
    level.removed = undefined;
    // Unlike an assignment, it can also set a label with the name `__proto__`.
    const labels = Object.fromEntries(
      this.labelNames.flatMap((name, i) => (tuple[i] == null ? [] : [[name, tuple[i]]])),
    );
    this.#all.set(series, labels);
    return series;
  }
}

/** Without the properties that every object inherits. */
function ownLabels(labels: LabelValues<string>): LabelValues<string> {
  return Object.assign(Object.create(null), labels);
}

function newLevel<S>(): Level<S> {
  return { next: new Map(), series: undefined, removed: undefined };
}

/** @throws {Error} with prom-client's words, when a label does not belong to the metric */
export function checkLabels(labelNames: readonly string[], labels: object): void {
  for (const label in labels) {
    if (labelNames.includes(label)) continue;
    // A counter's call with an exemplar ends here. A histogram's has ended before, since its value is missing.
    refuseExemplar(labelNames, labels, 'inc');
    throw new Error(`Added label "${label}" is not included in initial labelset: ${inspect(labelNames)}`);
  }
}

/** The labels that `labels(…)` was called with: one object, or the values in the order of the names. */
export function labelArguments(
  labelNames: readonly string[],
  args: readonly (LabelValues<string> | string | number | null)[],
): LabelValues<string> | null {
  const [first] = args;
  if (typeof first === 'object') return first;
  if (labelNames.length !== args.length) {
    throw new Error(
      `Invalid number of arguments (${args.length}): "${args.join(', ')}" for label names (${labelNames.length}): "${labelNames.join(', ')}".`,
    );
  }
  return Object.fromEntries(labelNames.map((name, i) => [name, args[i] as string | number]));
}
