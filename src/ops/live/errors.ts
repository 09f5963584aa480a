import type { ErrorType } from '../../instrument/label-values.ts';
import type { Row } from './history.ts';
import { parseSeries } from './keys.ts';
import type { ErrorRow, Key } from './model.ts';

/** Headings of docs/operations.md as anchors, by the type of the error. */
export const RUNBOOK: Readonly<Record<ErrorType, string>> = {
  validation: 'bad-input',
  not_found: 'bad-input',
  conflict: 'bad-input',
  forbidden: 'the-visitors-address',
  payment_declined: 'bad-input',
  rate_limited: 'too-many-form-posts-from-one-address',
  overload: 'more-load-than-the-shop-can-serve',
  database: 'failures-of-the-database',
  internal: 'many-pages-end-in-5xx',
  worker_crash: 'a-worker-dies',
};

/** Whether a key is one series of `shop_errors_total`, and not a sum of them. */
export function isErrorSeries(key: Key): boolean {
  return key.startsWith('shop_errors_total{route=') && key.includes(',type=');
}

/** The kinds of errors that are not zero, with the time of the last one. */
export interface Errors {
  /** Compares the newest numbers with those before. */
  note(latest: ReadonlyMap<Key, number>, row: Row): void;
  rows(): ErrorRow[];
}

export function createErrors(): Errors {
  /** The row of the last growth: it keeps the right time when the wall clock is set. */
  const seen = new Map<Key, { count: number; row: Row }>();

  return {
    note(latest, row) {
      for (const [key, count] of latest) {
        if (isErrorSeries(key) && count > (seen.get(key)?.count ?? 0)) seen.set(key, { count, row });
      }
    },
    rows() {
      return Array.from(seen, ([key, { row }]) => ({ key, lastAt: row.at, runbook: runbookOf(key) }));
    },
  };
}

function runbookOf(key: Key): string {
  return RUNBOOK[parseSeries(key)?.labels.type as ErrorType];
}
