import { quantileOf } from './bins.ts';
import { computedKeys } from './computed.ts';
import type { Durations } from './durations.ts';
import { isErrorSeries } from './errors.ts';
import { compile, type Evaluate, type Instant } from './evaluate.ts';
import type { History } from './history.ts';
import { isBucketKey } from './kept.ts';
import { duration, quantile } from './keys.ts';
import type { Frame, FrameChange, Key, Structure, Values } from './model.ts';

const MINUTE_MS = 60 * 1000;
/** Of the table of routes. */
const QUANTILES = [0.5, 0.95];

/**
 * Makes the function that computes all numbers of a frame: those of `/metrics`, kinds of errors only if they are not
 * zero, and the increases, rates and quantiles.
 */
export function createNumbers(history: History, durations: Durations) {
  let known = 0;
  let evaluations: [Key, Evaluate][] = [];

  /**
   * @param instant of the newest row
   * @param latest numbers without a history
   */
  return function readNumbers(instant: Instant, latest: ReadonlyMap<Key, number>, structure: Structure): Values {
    if (structure.version !== known) {
      evaluations = computedKeys(structure).map((key) => [key, compile(history, key)]);
      known = structure.version;
    }
    const values: Record<Key, number | null> = {};
    const note = (key: Key, value: number) => {
      if (value !== 0 || !isErrorSeries(key)) values[key] = Number.isNaN(value) ? null : value;
    };
    for (const [key, column] of history.columns) {
      if (!isBucketKey(key)) note(key, instant.row.values[column] ?? Number.NaN);
    }
    for (const [key, value] of latest) note(key, value);
    for (const [key, evaluate] of evaluations) values[key] = evaluate(instant);
    const window = durations.window(5 * MINUTE_MS);
    for (const route of structure.routes) {
      const bins = window.binsOf(route);
      for (const q of QUANTILES) values[quantile(q, duration(route), '5m')] = quantileOf(q, bins);
    }
    return values;
  };
}

/** Changes from one frame to the next. */
export function changeOf(before: Frame, now: Frame): FrameChange {
  const { at, values, ...rest } = now;
  const changed = Object.entries(rest).filter(
    ([field, value]) => JSON.stringify(value) !== JSON.stringify(before[field as keyof Frame]),
  );
  return { at, values: changedValues(before.values, values), ...Object.fromEntries(changed) };
}

function changedValues(before: Values, now: Values): Values {
  const changed = Object.entries(now).filter(([key, value]) => before[key] !== value);
  const gone = Object.keys(before).filter((key) => !(key in now) && before[key] !== null);
  return Object.fromEntries([...changed, ...gone.map((key): [string, null] => [key, null])]);
}
