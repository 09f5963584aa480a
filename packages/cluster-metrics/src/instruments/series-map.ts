import { inspect } from 'node:util';
import type { LabelTuple } from '../store/description.ts';
import type { LabelValues } from './types.ts';

interface Level<S> {
  readonly next: Map<string | undefined, Level<S>>;
  series: S | undefined;
}

/**
 * The series of one metric, found by their label values: one map per label, so that a look-up on the hot path builds
 * no string.
 */
export class SeriesMap<S> {
  readonly labelNames: readonly string[];
  readonly #create: (labels: LabelTuple) => S;
  /** Whether a label has the name of something that every object has, such as `constructor`. */
  readonly #isInherited: boolean;
  readonly #root: Level<S> = newLevel();
  readonly #all: { labels: Record<string, string>; series: S }[] = [];

  constructor(labelNames: readonly string[], create: (labels: LabelTuple) => S) {
    this.labelNames = labelNames;
    this.#create = create;
    this.#isInherited = labelNames.some((name) => name in Object.prototype);
  }

  /** Every series with its labels, in the order in which they came. */
  get all(): readonly { labels: Record<string, string>; series: S }[] {
    return this.#all;
  }

  /** The series with these labels, made if it is new. Values are taken as text, as prom-client does. */
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
    level.series ??= this.#add(labels);
    return level.series;
  }

  #add(given: LabelValues<string>): S {
    const tuple = this.labelNames.map((name) => (given[name] === undefined ? null : String(given[name])));
    const series = this.#create(tuple);
    // Unlike an assignment, it also takes a label of the name `__proto__`.
    const labels = Object.fromEntries(
      this.labelNames.flatMap((name, i) => (tuple[i] == null ? [] : [[name, tuple[i]]])),
    );
    this.#all.push({ labels, series });
    return series;
  }
}

/** Without what every object has. */
function ownLabels(labels: LabelValues<string>): LabelValues<string> {
  return Object.assign(Object.create(null), labels);
}

function newLevel<S>(): Level<S> {
  return { next: new Map(), series: undefined };
}

/** @throws {Error} with prom-client's words, when a label does not belong to the metric */
export function checkLabels(labelNames: readonly string[], labels: object): void {
  for (const label in labels) {
    if (!labelNames.includes(label)) {
      throw new Error(`Added label "${label}" is not included in initial labelset: ${inspect(labelNames)}`);
    }
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
