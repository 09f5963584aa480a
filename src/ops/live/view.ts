import { type Format, formatNumber, formatTime, type Language, NOTHING } from './format.ts';
import { additions, increase, parseSeries, sold, straightSeries, views } from './keys.ts';
import type { ErrorRow, Frame, Key, Lamp, Level, LockWaitRow, Verdict } from './model.ts';
import { condition, isRule, sentence } from './rule-texts.ts';
import { type TextName, textIn, whyEmpty, wordIn } from './texts.ts';

/*
 * What the page says of a number, an error or a lamp. The primary renders it, and the browser keeps it up to date.
 */

export const PRODUCT_WINDOWS = ['total', '1h', '5m'] as const;
export type ProductWindow = (typeof PRODUCT_WINDOWS)[number];
export const PRODUCT_COLUMNS = { views, additions, sold } as const;
export type ProductColumn = keyof typeof PRODUCT_COLUMNS;
export type ProductOrder = ProductColumn | 'name';

/** The number in a column of the products: a counter, or its growth. */
export function productKey(column: ProductColumn, slug: string, window: ProductWindow): Key {
  const counter = PRODUCT_COLUMNS[column](slug);
  return window === 'total' ? counter : increase(counter, window);
}

/** A number, as its element has it. */
export interface NumberView {
  /** Unrounded. */
  readonly value: string;
  readonly text: string;
  /** Why there is none. */
  readonly why: string | undefined;
}

export function numberView(value: number | null, key: Key, format: Format, language: Language): NumberView {
  if (value === null) return { value: 'NaN', text: NOTHING, why: whyEmpty(key, language) };
  return { value: String(value), text: formatNumber(value, format, language), why: undefined };
}

/** Name and labels of the one series of `/metrics` that a key names, as attributes; undefined for all other numbers. */
export function seriesAttributes(key: Key): { metric: string | undefined; labels: string | undefined } {
  const straight = straightSeries(key);
  return { metric: straight?.metric, labels: straight ? JSON.stringify(straight.labels) : undefined };
}

/**
 * The change of a number from 15 minutes ago: `▲ 3 em 15 min`; or in words that nothing changed, that nothing can be
 * compared, or why there is no number.
 */
export function changeText(
  key: Key,
  now: number | null,
  before: number | null,
  format: Format,
  language: Language,
): string {
  if (now === null) return whyEmpty(key, language);
  if (before === null) return textIn(language, 'noComparison');
  const change = now - before;
  if (change === 0) return textIn(language, 'same');
  const size = formatNumber(Math.abs(change), format === 'percent' ? 'points' : format, language);
  const amount = `${change > 0 ? '▲' : '▼'} ${size}`;
  return `${amount} ${textIn(language, 'inFifteenMinutes')}`;
}

const HOUR_SECONDS = 3600;

/** How long the primary has run. */
export function upFor(seconds: number, language: Language): string {
  return formatNumber(Math.max(0, Math.floor(seconds)), 'age', language);
}

/** That the last hour is not a whole one yet; empty when it is. */
export function youngText(upSeconds: number, language: Language): string {
  if (upSeconds >= HOUR_SECONDS) return '';
  return textIn(language, 'youngerThanAnHour', { age: upFor(upSeconds, language) });
}

const SIGNS = { good: '✓', warning: '!', bad: '‼', unknown: '?' } as const;

/** The title in the browser's tab: the verdict at a glance. */
export function pageTitle(level: Level, language: Language): string {
  return `${SIGNS[level]} ${textIn(language, 'title')}`;
}

export function verdictText(verdict: Verdict, language: Language): string {
  return verdict.rule ? sentence(verdict, language) : textIn(language, 'empty.unknown');
}

export function verdictRule({ rule }: Verdict, language: Language): string {
  return isRule(rule) ? condition(rule, language) : '';
}

export function lampText(lamp: Lamp, language: Language): string {
  if (lamp.rule) return sentence(lamp, language);
  return textIn(language, lamp.level === 'unknown' ? 'empty.unknown' : 'nothingLit');
}

export interface ErrorView {
  readonly key: Key;
  readonly type: string;
  readonly route: string;
  /** When it was last counted. */
  readonly last: string;
  readonly runbook: string;
}

/** The latest first. */
export function errorViews(errors: readonly ErrorRow[], language: Language): ErrorView[] {
  return errors
    .toSorted((a, b) => b.lastAt - a.lastAt)
    .map(({ key, lastAt, runbook }) => {
      const { labels = {} } = parseSeries(key) ?? {};
      const last = formatTime(lastAt, language);
      return { key, type: labels.type ?? '', route: labels.route ?? '', last, runbook };
    });
}

export interface LockWaitView {
  readonly waited: string;
  readonly waiting: string;
  readonly statement: string;
  /** The session: its name, its state, and how long its transaction is open. */
  readonly holder: string;
  readonly holderStatement: string;
}

export function lockWaitViews(waits: readonly LockWaitRow[], language: Language): LockWaitView[] {
  return waits.map(({ waiting, blocking }) => {
    const { pid, application, state, seconds } = blocking;
    const age =
      seconds === null ? '' : textIn(language, 'lockWaits.open', { age: formatNumber(seconds, 'seconds', language) });
    return {
      waited: formatNumber(waiting.seconds, 'seconds', language),
      waiting: waiting.application,
      statement: waiting.statement,
      holder: [application, `pid ${pid}`, state, age].filter((part) => part !== '').join(', '),
      holderStatement: blocking.statement || textIn(language, 'lockWaits.hidden'),
    };
  });
}

/** That a rehearsed fault is on, and for how long; empty while it is off. */
export function faultLeft(name: string, { faults, at }: Pick<Frame, 'faults' | 'at'>, language: Language): string {
  const fault = faults.find((each) => each.name === name);
  if (!fault) return '';
  const seconds = Math.max(0, Math.ceil((fault.endsAt - at) / 1000));
  return textIn(language, 'fault.left', { age: formatNumber(seconds, 'age', language) });
}

/** Name of a line of a chart: a worker by its place, others by the texts. */
export function lineLabel(label: string, language: Language): string {
  return /^\d+$/.test(label) ? `worker ${label}` : wordIn(language, label as TextName);
}
