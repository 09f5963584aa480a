import { type Bar, type Bins, barsOf } from '../bins.ts';
import { formatNumber, type Language } from '../format.ts';
import { textIn } from '../texts.ts';

/*
 * Drawings of one moment: a histogram with its quantiles, and the quantiles of a summary. SVG, since nothing moves in them.
 */

export interface Bucket {
  /** Upper bound in seconds; null for the one above all. */
  readonly le: number | null;
  readonly count: number;
}

export interface Quantile {
  readonly quantile: number;
  readonly seconds: number | null;
}

const HEIGHT = 170;
const GROUND = 140;
const ROOM = 24;
const WIDEST = 900;
/** Room for the name of a bound. */
const BOUND_WIDTH = 46;

/**
 * Bars of equal width, so that the short times, where most requests are, can be read.
 *
 * @param room CSS pixels that it may be wide
 */
export function drawHistogram(
  buckets: readonly Bucket[],
  quantiles: readonly Quantile[],
  room: number,
  language: Language,
): SVGSVGElement {
  const whole = Math.min(room, WIDEST);
  const drawing = svg('svg', { width: whole, height: HEIGHT, 'aria-hidden': 'true' });
  const width = whole / buckets.length;
  const named = Math.ceil(BOUND_WIDTH / width);
  const most = Math.max(...buckets.map(({ count }) => count), 1);
  for (const [i, { le, count }] of buckets.entries()) {
    const height = (count / most) * (GROUND - ROOM);
    drawing.append(
      svg('rect', { class: 'column', x: i * width + 1, y: GROUND - height, width: width - 2, height, rx: 2 }),
    );
    // A bound is the upper end of its bar.
    if (le !== null && i % named === named - 1) {
      drawing.append(text(boundOf(le, language), { x: (i + 1) * width, y: GROUND + 16, 'text-anchor': 'middle' }));
    }
  }
  drawing.append(svg('line', { class: 'axis', x1: 0, x2: whole, y1: GROUND, y2: GROUND }));
  markQuantiles(drawing, quantiles, whole, (seconds) => positionOf(seconds, buckets) * width, language);
  return drawing;
}

/** The same as numbers. */
export function histogramTable(
  buckets: readonly Bucket[],
  quantiles: readonly Quantile[],
  language: Language,
): HTMLTableElement {
  const rows = buckets.map(({ le, count }): TableRow => {
    const bound = boundOf(le ?? buckets.at(-2)?.le ?? 0, language);
    return [`${textIn(language, le === null ? 'above' : 'upTo')} ${bound}`, count];
  });
  return countTable(rows, quantiles, language);
}

/** Least width of a bar, the gap beside it included. */
const BAR_WIDTH = 5;
/** Room for half the name of a time at both ends of the axis. */
const MARGIN = 16;
/** A bar of one request can be seen beside one of thousands. */
const LOWEST_BAR = 1.5;

/**
 * Durations over a logarithmic axis, in as many bars as there is room for. The title of each says its bounds and its
 * requests.
 *
 * @param bins not empty
 * @param room CSS pixels that it may be wide
 */
export function drawDurations(
  bins: Bins,
  quantiles: readonly Quantile[],
  room: number,
  language: Language,
): SVGSVGElement {
  const whole = Math.min(room, WIDEST);
  const drawing = svg('svg', { width: whole, height: HEIGHT, 'aria-hidden': 'true' });
  const bars = durationBars(bins, room);
  const [low, high] = [bars[0]?.from ?? 0, bars.at(-1)?.to ?? 0];
  const decade = (whole - 2 * MARGIN) / Math.log10(high / low);
  const xOf = (seconds: number) => MARGIN + Math.log10(seconds / low) * decade;
  const most = Math.max(...bars.map(({ count }) => count));
  for (const bar of bars) {
    if (bar.count === 0) continue;
    const x = xOf(bar.from);
    const width = Math.max(1, xOf(bar.to) - x - 1);
    const height = Math.max(LOWEST_BAR, (bar.count / most) * (GROUND - ROOM));
    const group = svg('g', { class: 'bin' });
    const title = svg('title', {});
    title.textContent = `${rangeOf(bar, language)}: ${formatNumber(bar.count, 'count', language)}`;
    group.append(
      title,
      // A low bar is found by the pointer above it, too.
      svg('rect', { class: 'reach', x, y: 0, width: width + 1, height: GROUND }),
      svg('rect', { class: 'column', x, y: GROUND - height, width, height }),
    );
    drawing.append(group);
  }
  drawing.append(svg('line', { class: 'axis', x1: 0, x2: whole, y1: GROUND, y2: GROUND }));
  for (const seconds of roundTimes(low, high, decade)) {
    const x = xOf(seconds);
    drawing.append(
      svg('line', { class: 'axis', x1: x, x2: x, y1: GROUND, y2: GROUND + 4 }),
      text(formatNumber(seconds, 'seconds', language), { x, y: GROUND + 16, 'text-anchor': 'middle' }),
    );
  }
  markQuantiles(drawing, quantiles, whole, xOf, language);
  return drawing;
}

/** The same as numbers, without the empty bars. */
export function durationsTable(
  bins: Bins,
  quantiles: readonly Quantile[],
  room: number,
  language: Language,
): HTMLTableElement {
  const bars = durationBars(bins, room).filter(({ count }) => count > 0);
  const rows = bars.map((bar): TableRow => [rangeOf(bar, language), bar.count]);
  return countTable(rows, quantiles, language);
}

function durationBars(bins: Bins, room: number): Bar[] {
  return barsOf(bins, Math.max(2, Math.floor((Math.min(room, WIDEST) - 2 * MARGIN) / BAR_WIDTH)));
}

function rangeOf({ from, to }: Bar, language: Language): string {
  const [above, upTo] = [from, to].map((seconds) => formatNumber(seconds, 'preciseSeconds', language));
  return textIn(language, 'durationRange', { from: above as string, to: upTo as string });
}

/**
 * Times between two others for the marks of an axis: 1, 2, 5, 10… where there is room, or else powers of ten.
 *
 * @param decade CSS pixels from a time to its tenfold
 */
function roundTimes(low: number, high: number, decade: number): number[] {
  const digits = decade * Math.log10(2) >= BOUND_WIDTH ? [1, 2, 5] : [1];
  const step = Math.ceil(BOUND_WIDTH / decade);
  const times: number[] = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
    if (power % step === 0) times.push(...digits.map((digit) => digit * 10 ** power));
  }
  return times.filter((seconds) => seconds >= low && seconds <= high);
}

/** @param xOf place of a time */
function markQuantiles(
  drawing: SVGSVGElement,
  quantiles: readonly Quantile[],
  whole: number,
  xOf: (seconds: number) => number,
  language: Language,
): void {
  for (const [i, { quantile, seconds }] of quantiles.entries()) {
    if (seconds === null) continue;
    const x = xOf(seconds);
    const isRight = x > whole * 0.7;
    drawing.append(
      svg('line', { class: 'quantile', x1: x, x2: x, y1: 4 + i * 13, y2: GROUND }),
      text(quantileText({ quantile, seconds }, language), {
        class: 'quantile-text',
        x: x + (isRight ? -5 : 5),
        y: 13 + i * 13,
        'text-anchor': isRight ? 'end' : 'start',
      }),
    );
  }
}

function quantileText({ quantile, seconds }: Quantile, language: Language): string {
  return `p${quantile * 100} ${formatNumber(seconds, 'seconds', language)}`;
}

type TableRow = readonly [name: string, count: number];

function countTable(rows: readonly TableRow[], quantiles: readonly Quantile[], language: Language): HTMLTableElement {
  const table = document.createElement('table');
  table.className = 'small';
  table.createCaption().textContent = quantiles.map((each) => quantileText(each, language)).join(' · ');
  const body = table.createTBody();
  for (const [name, count] of rows) {
    const row = body.insertRow();
    const bound = document.createElement('th');
    bound.scope = 'row';
    bound.textContent = name;
    row.append(bound);
    const cell = row.insertCell();
    cell.className = 'is-number';
    cell.textContent = formatNumber(count, 'count', language);
  }
  return table;
}

/** One operation of a summary. */
export interface SummaryRow {
  readonly name: string;
  readonly quantiles: readonly Quantile[];
}

const ROW_HEIGHT = 26;
const NAMES_WIDTH = 170;

/**
 * A line from the lowest to the highest quantile with a dot on each, over a logarithmic axis.
 *
 * @param room CSS pixels that it may be wide
 */
export function drawSummary(rows: readonly SummaryRow[], room: number, language: Language): SVGSVGElement {
  const whole = Math.min(room, WIDEST);
  const names = Math.min(NAMES_WIDTH, whole * 0.42);
  const height = rows.length * ROW_HEIGHT + 24;
  const drawing = svg('svg', { width: whole, height, 'aria-hidden': 'true' });
  const known = rows.flatMap(({ quantiles }) => quantiles.flatMap(({ seconds }) => (seconds ? [seconds] : [])));
  const [low, high] = [Math.floor(Math.log10(Math.min(...known))), Math.ceil(Math.log10(Math.max(...known)))];
  const xOf = (seconds: number) =>
    names + 16 + ((Math.log10(seconds) - low) / Math.max(1, high - low)) * (whole - names - 76);
  for (let power = low; power <= high; power++) {
    const x = xOf(10 ** power);
    drawing.append(
      svg('line', { class: 'axis', x1: x, x2: x, y1: 0, y2: height - 20 }),
      text(formatNumber(10 ** power, 'seconds', language), { x, y: height - 6, 'text-anchor': 'middle' }),
    );
  }
  for (const [i, { name, quantiles }] of rows.entries()) {
    const y = (i + 0.5) * ROW_HEIGHT;
    const dots = quantiles.flatMap(({ quantile, seconds }) =>
      seconds ? [{ quantile, x: xOf(seconds), seconds }] : [],
    );
    const [first, last] = [dots[0], dots.at(-1)];
    drawing.append(text(name, { class: 'label', x: 0, y: y + 4 }));
    if (!(first && last)) continue;
    drawing.append(svg('line', { class: 'span', x1: first.x, x2: last.x, y1: y, y2: y }));
    for (const [j, { quantile, x, seconds }] of dots.entries()) {
      const dot = svg('circle', { cx: x, cy: y, r: 4.5, 'data-tone': j + 1 });
      const title = svg('title', {});
      title.textContent = quantileText({ quantile, seconds }, language);
      dot.append(title);
      drawing.append(dot);
    }
    drawing.append(text(formatNumber(last.seconds, 'seconds', language), { x: last.x + 9, y: y + 4 }));
  }
  return drawing;
}

function boundOf(le: number | null, language: Language): string {
  return le === null ? '+∞' : formatNumber(le, 'seconds', language);
}

/** Place of a time in buckets of equal width. */
function positionOf(seconds: number, buckets: readonly Bucket[]): number {
  const i = buckets.findIndex(({ le }) => le === null || seconds <= le);
  const upper = buckets[i]?.le;
  if (i === -1 || upper == null) return buckets.length;
  const lower = buckets[i - 1]?.le ?? 0;
  return i + (seconds - lower) / (upper - lower);
}

type Attributes = Readonly<Record<string, string | number>>;

function svg<Name extends keyof SVGElementTagNameMap>(name: Name, attributes: Attributes): SVGElementTagNameMap[Name] {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, String(value));
  return element;
}

function text(content: string, attributes: Attributes): SVGTextElement {
  const element = svg('text', attributes);
  element.textContent = content;
  return element;
}
