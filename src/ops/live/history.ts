import type { Key, Mark } from './model.ts';

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;

/** Between two rows of the recent past, and of the rest. */
export const FINE_STEP_MS = 1 * SECOND_MS;
export const COARSE_STEP_MS = 15 * SECOND_MS;
/** 5 minutes, and the windows that end in them. */
const FINE_ROWS = 5 * 60 + 30;
/** 6 hours, and the hour that leads to the first of them. */
const COARSE_ROWS = (7 * HOUR_MS) / COARSE_STEP_MS + 1;
const MOST_MARKS = 500;

/** Timers are late by less than this. A wall clock that goes back further was set. */
const JITTER_MS = 1 * SECOND_MS;

/** All kept numbers at one moment. */
export interface Row {
  /** By the monotonic clock, `performance.now()`. */
  readonly monoMs: number;
  /** Milliseconds since 1970, corrected when the wall clock is set back. */
  at: number;
  /** By column. A column that is younger than the row lies beyond its end. NaN where nothing was measured. */
  readonly values: Float64Array;
}

/** Where a window begins: at a row, or at the start of the primary, when all counters were 0. */
export type Beginning = Row | 'start';

/**
 * The kept numbers of the last 5 minutes by the second and of the last 7 hours by 15 seconds. Windows are cut by the
 * monotonic clock, so that setting the wall clock changes no rate.
 *
 * A row of 640 numbers takes 5.1 KB, so the history of a shop with 24 products and 2 workers grows to 10 MB in 7 hours.
 */
export class History {
  readonly #columns = new Map<Key, number>();
  readonly #fine: Row[] = [];
  readonly #coarse: Row[] = [];
  #marks: Mark[] = [];
  #startMs = 0;
  #nextCoarseMs = Number.NEGATIVE_INFINITY;

  /** The column of a number, which is made when it is first asked for. */
  makeColumn(key: Key): number {
    const known = this.#columns.get(key);
    if (known !== undefined) return known;
    this.#columns.set(key, this.#columns.size);
    return this.#columns.size - 1;
  }

  /** The column of a number; undefined while it was never measured. */
  columnOf(key: Key): number | undefined {
    return this.#columns.get(key);
  }

  get columns(): ReadonlyMap<Key, number> {
    return this.#columns;
  }

  /** By the second, oldest first. */
  get fine(): readonly Row[] {
    return this.#fine;
  }

  /** By 15 seconds, oldest first. */
  get coarse(): readonly Row[] {
    return this.#coarse;
  }

  get marks(): readonly Mark[] {
    return this.#marks;
  }

  /** When the first row was added, by the monotonic clock. */
  get startMs(): number {
    return this.#startMs;
  }

  get latest(): Row | undefined {
    return this.#fine.at(-1);
  }

  /**
   * Adds the newest row.
   *
   * @param values by column; kept as they are
   * @param monoMs `performance.now()`, later than that of the last row
   * @param wallMs `Date.now()`
   */
  push(values: Float64Array, monoMs: number, wallMs: number): Row {
    const last = this.latest;
    if (!last) this.#startMs = monoMs;
    else this.#followClock(wallMs - (last.at + monoMs - last.monoMs));
    const row = { monoMs, at: wallMs, values };
    this.#fine.push(row);
    if (this.#fine.length > FINE_ROWS) this.#fine.shift();
    if (monoMs >= this.#nextCoarseMs) {
      this.#coarse.push(row);
      if (this.#coarse.length > COARSE_ROWS) this.#coarse.shift();
      // A row a little late does not move the next ones; a pause does.
      const isOnTime = monoMs < this.#nextCoarseMs + COARSE_STEP_MS;
      this.#nextCoarseMs = (isOnTime ? this.#nextCoarseMs : monoMs) + COARSE_STEP_MS;
    }
    return row;
  }

  mark(mark: Mark): void {
    this.#marks.push(mark);
    if (this.#marks.length > MOST_MARKS) this.#marks.shift();
  }

  /**
   * Where the window that ends at a row begins.
   *
   * @returns the last row before the window; the first row in the window when the process had paused at its beginning;
   *   null when nothing else was measured in the window
   */
  beginningOf(row: Row, windowMs: number): Beginning | null {
    const beginMs = row.monoMs - windowMs;
    const [oldest] = this.#fine;
    const rows = oldest && oldest.monoMs <= beginMs ? this.#fine : this.#coarse;
    const [first] = rows;
    if (!first || first.monoMs > beginMs) return 'start';
    const index = lastAtOrBefore(rows, beginMs);
    const before = rows[index] as Row;
    const mostLateMs = Math.max(2.5 * SECOND_MS, windowMs / 10);
    if (beginMs - before.monoMs <= mostLateMs) return before;
    const next = this.#firstAfter(before);
    return next && next.monoMs < row.monoMs ? next : null;
  }

  /** The row that was the newest so long before another one; undefined where there was none. */
  earlier(row: Row, offsetMs: number): Row | undefined {
    const beginning = this.beginningOf(row, offsetMs);
    return beginning === 'start' || beginning === null ? undefined : beginning;
  }

  #firstAfter(row: Row): Row | undefined {
    const next = [this.#fine, this.#coarse].map((rows) => rows[lastAtOrBefore(rows, row.monoMs) + 1]);
    return next.reduce((a, b) => (a && b ? (a.monoMs <= b.monoMs ? a : b) : (a ?? b)));
  }

  /** @param aheadMs of the wall clock, beyond the time that has passed */
  #followClock(aheadMs: number): void {
    // Ahead: the machine slept, or the clock was set forward. Both leave a gap between the rows.
    if (aheadMs > -JITTER_MS) return;
    for (const row of new Set([...this.#fine, ...this.#coarse])) row.at += aheadMs;
    this.#marks = this.#marks.map((mark) => ({ ...mark, at: mark.at + aheadMs }));
  }
}

/** @returns -1 when all rows are later */
function lastAtOrBefore(rows: readonly Row[], monoMs: number): number {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((rows[middle] as Row).monoMs <= monoMs) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
