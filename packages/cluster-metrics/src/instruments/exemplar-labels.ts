import { inspect } from 'node:util';
import { isLabelName } from './checks.ts';
import type { LabelValues } from './types.ts';

/** https://prometheus.io/docs/specs/om/open_metrics_spec/#exemplars: names and values together, in code points. */
const MAX_CHARACTERS = 128;

/**
 * A checked copy of an exemplar's labels, values as texts.
 *
 * @returns `null` when there is none
 * @throws {RangeError} with prom-client's words, when names and values have more than 128 characters together
 * @throws {Error} when Prometheus would reject a name
 */
export function exemplarLabels(given: LabelValues<string>): Record<string, string> | null {
  if (typeof given !== 'object' || given === null) {
    throw new TypeError(`exemplarLabels must be an object, such as { trace_id: '…' }: ${inspect(given)}`);
  }
  const labels: Record<string, string> = {};
  let length = 0;
  for (const name in given) {
    const value = given[name];
    if (value === undefined || value === null) continue;
    if (!isLabelName(name)) throw new Error(`Invalid label name of an exemplar: ${inspect(name)}`);
    const text = String(value);
    labels[name] = text;
    length += name.length + text.length;
  }
  // A code point is one unit of UTF-16, or two.
  if (length > MAX_CHARACTERS && [...Object.entries(labels).flat().join('')].length > MAX_CHARACTERS) {
    throw new RangeError('Label set size must be smaller than 128 UTF-8 chars');
  }
  return length === 0 ? null : labels;
}

/** What prom-client's `inc` and `observe` take with an exemplar. */
interface ExemplarData {
  readonly labels?: LabelValues<string> | null;
  readonly value?: unknown;
  readonly exemplarLabels?: LabelValues<string>;
}

const KEYS = ['labels', 'value', 'exemplarLabels'] satisfies (keyof ExemplarData)[];

/**
 * Reads the one argument of a call with an exemplar.
 *
 * @throws {TypeError} when it has anything else in it: prom-client would ignore labels that stand there
 */
export function exemplarData(given: object, method: 'inc' | 'observe'): ExemplarData {
  if (Object.keys(given).every((key) => (KEYS as string[]).includes(key))) return given;
  throw new TypeError(
    `With enableExemplars, write ${method}({ labels, value, exemplarLabels }) or ${method}(labels, value, exemplarLabels): ${inspect(given)}`,
  );
}

/**
 * For a call that fails anyway.
 *
 * @throws {TypeError} when it has prom-client's form for an exemplar, `{ labels, value, exemplarLabels }`
 */
export function refuseExemplar(labelNames: readonly string[], data: object, method: 'inc' | 'observe'): void {
  if (!('exemplarLabels' in data) || labelNames.includes('exemplarLabels')) return;
  throw new TypeError(
    `${method}({ labels, value, exemplarLabels }) needs a metric with enableExemplars: true; without, write ${method}(labels, value)`,
  );
}
