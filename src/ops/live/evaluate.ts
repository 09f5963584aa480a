import { DURATION_BUCKETS_SECONDS } from '../../instrument/worker-metrics.ts';
import type { Beginning, History, Row } from './history.ts';
import { bucketKey } from './kept.ts';
import type { Key } from './model.ts';

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;

const WINDOWS_MS: Record<string, number> = { '10s': 10 * SECOND_MS, '5m': 5 * MINUTE_MS, '1h': 60 * MINUTE_MS };
const OFFSET_MS = 15 * MINUTE_MS;

/** Label `le` of every bucket of `http_request_duration_seconds`, ascending. */
export const BOUNDS: readonly string[] = [...DURATION_BUCKETS_SECONDS.map(String), '+Inf'];

/** A moment of the history, for which numbers are computed. */
export interface Instant {
  readonly row: Row;
  /** Where a window that ends now begins, see `History.beginningOf`. */
  beginningOf(windowMs: number): Beginning | null;
  /** The same, 15 minutes ago; null where that was not measured. */
  earlier(): Instant | null;
}

/** @param shortestMs windows shorter than this are as long: the step between the points of a course */
export function instantOf(history: History, row: Row, shortestMs = 0): Instant {
  const beginnings = new Map<number, Beginning | null>();
  let earlier: Instant | null | undefined;
  return {
    row,
    beginningOf(windowMs) {
      const length = Math.max(windowMs, shortestMs);
      const known = beginnings.get(length);
      if (known !== undefined) return known;
      const beginning = history.beginningOf(row, length);
      beginnings.set(length, beginning);
      return beginning;
    },
    earlier() {
      if (earlier === undefined) {
        const before = history.earlier(row, OFFSET_MS);
        earlier = before ? instantOf(history, before, shortestMs) : null;
      }
      return earlier;
    },
  };
}

/** Computes a number of the page; null where it is NaN, or nothing was measured in its window. */
export type Evaluate = (instant: Instant) => number | null;

/**
 * Makes the function that computes a number with a history.
 *
 * @param key one of keys.ts
 */
export function compile(history: History, key: Key): Evaluate {
  const [, dividend, divisor] = /^(increase\(.+\)) \/ (increase\(.+\))$/.exec(key) ?? [];
  if (dividend !== undefined && divisor !== undefined) {
    return quotient(compile(history, dividend), compile(history, divisor));
  }
  const [, growing, window, offset] = /^increase\((.+)\[(\w+)\]( offset 15m)?\)$/.exec(key) ?? [];
  if (growing !== undefined && window !== undefined) {
    const ofNow = increase(history, growing, windowMsOf(window));
    return offset ? earlierOf(ofNow) : ofNow;
  }
  const [, gauge] = /^(.+) offset 15m$/.exec(key) ?? [];
  if (gauge !== undefined) return earlierOf(straight(history, gauge));
  const [, counter] = /^rate\((.+)\[10s\]\)$/.exec(key) ?? [];
  if (counter !== undefined) return rate(history, counter);
  const [, q, histogram, over] = /^histogram_quantile\(([\d.]+), (.+)\[(\w+)\]\)$/.exec(key) ?? [];
  if (histogram !== undefined && over !== undefined) return quantile(history, Number(q), histogram, windowMsOf(over));
  return straight(history, key);
}

function windowMsOf(window: string): number {
  const ms = WINDOWS_MS[window];
  if (ms === undefined) throw new Error(`no window ${window}`);
  return ms;
}

function straight(history: History, key: Key): Evaluate {
  return ({ row }) => known(valueIn(row, history.columnOf(key)));
}

function earlierOf(evaluate: Evaluate): Evaluate {
  return (instant) => {
    const earlier = instant.earlier();
    return earlier && evaluate(earlier);
  };
}

function quotient(dividend: Evaluate, divisor: Evaluate): Evaluate {
  return (instant) => {
    const [a, b] = [dividend(instant), divisor(instant)];
    return a === null || b === null || b === 0 ? null : a / b;
  };
}

/** Growth of a counter in a window; 0 while it is not known. */
export function growthIn(history: History, counter: Key, instant: Instant, windowMs: number): number {
  const beginning = instant.beginningOf(windowMs);
  return (beginning && growthOf(history.columnOf(counter), instant.row, beginning)) || 0;
}

function increase(history: History, counter: Key, windowMs: number): Evaluate {
  return (instant) => {
    const beginning = instant.beginningOf(windowMs);
    return beginning && known(growthOf(history.columnOf(counter), instant.row, beginning));
  };
}

function rate(history: History, counter: Key): Evaluate {
  return (instant) => {
    const beginning = instant.beginningOf(10 * SECOND_MS);
    const seconds = beginning && secondsSince(history, instant.row, beginning);
    if (!beginning || !seconds) return null;
    return known(growthOf(history.columnOf(counter), instant.row, beginning) / seconds);
  };
}

function quantile(history: History, q: number, histogram: Key, windowMs: number): Evaluate {
  const countsIn = countBuckets(history, histogram);
  return (instant) => {
    const beginning = instant.beginningOf(windowMs);
    return beginning && histogramQuantile(q, countsIn(instant.row, beginning));
  };
}

/** Makes the function that counts the requests of a window up to each of {@link BOUNDS}. */
export function countBuckets(history: History, histogram: Key): (row: Row, beginning: Beginning) => number[] {
  const keys = BOUNDS.map((le) => bucketKey(histogram, le));
  let columns: (number | undefined)[] = [];
  return function countsIn(row, beginning) {
    if (columns.length === 0 || columns.includes(undefined)) columns = keys.map((key) => history.columnOf(key));
    return columns.map((column) => growthOf(column, row, beginning) || 0);
  };
}

/**
 * As PromQL computes it: linear within a bucket, and the highest finite bound above all buckets.
 * https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile
 *
 * @param counts cumulative, one for each of {@link BOUNDS}
 * @returns seconds; null without observations
 */
export function histogramQuantile(q: number, counts: readonly number[]): number | null {
  const total = counts.at(-1) ?? 0;
  if (total === 0) return null;
  const rank = q * total;
  const bucket = counts.findIndex((count) => count >= rank);
  const highest = DURATION_BUCKETS_SECONDS.at(-1) as number;
  if (bucket === -1 || bucket >= DURATION_BUCKETS_SECONDS.length) return highest;
  const upper = DURATION_BUCKETS_SECONDS[bucket] as number;
  const lower = bucket === 0 ? 0 : (DURATION_BUCKETS_SECONDS[bucket - 1] as number);
  const below = bucket === 0 ? 0 : (counts[bucket - 1] as number);
  return lower + ((upper - lower) * (rank - below)) / ((counts[bucket] as number) - below);
}

/** NaN while the counter is not known. A counter that was not there at the beginning was 0. */
function growthOf(column: number | undefined, row: Row, beginning: Beginning): number {
  const before = beginning === 'start' ? 0 : valueIn(beginning, column) || 0;
  return valueIn(row, column) - before;
}

function secondsSince({ startMs }: History, row: Row, beginning: Beginning): number {
  return (row.monoMs - (beginning === 'start' ? startMs : beginning.monoMs)) / SECOND_MS;
}

function valueIn({ values }: Row, column: number | undefined): number {
  return column === undefined || column < 0 || column >= values.length ? Number.NaN : (values[column] as number);
}

function known(value: number): number | null {
  return Number.isNaN(value) ? null : value;
}
