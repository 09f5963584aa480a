import { quantileOf } from './bins.ts';
import type { Durations } from './durations.ts';
import { compile, type Instant, instantOf } from './evaluate.ts';
import { COARSE_STEP_MS, FINE_STEP_MS, type History, type Row } from './history.ts';
import { type Course, type Key, type RouteHistogram, SPAN_SHAPES, type Span } from './model.ts';

/** Digits of a rate or a quantile: more than a chart can show. */
const DIGITS = 5;

/**
 * The courses of numbers over a span. Where the process or the machine paused, a point without numbers stands in the gap.
 *
 * @param keys numbers with a history
 */
export function courseOf(history: History, span: Span, keys: readonly Key[]): Course {
  const { stepMs } = SPAN_SHAPES[span];
  const points = pointsOf(history, span).map((row) => row && instantOf(history, row, stepMs));
  const values = keys.map((key): [Key, (number | null)[]] => {
    const evaluate = compile(history, key);
    const isRounded = key.includes('(');
    return [key, points.map((point) => point && rounded(evaluate(point), isRounded))];
  });
  return {
    span,
    at: timesOf(points, stepMs),
    values: Object.fromEntries(values),
    marks: history.marks.filter(({ at }) => at >= (points[0]?.row.at ?? 0)),
  };
}

const QUANTILES = [0.5, 0.95, 0.99];

/** How long the requests of a route took over a span; since the start, while that is shorter ago. */
export function histogramOf(history: History, durations: Durations, route: string, span: Span): RouteHistogram {
  const { at, monoMs } = history.latest ?? { at: Date.now(), monoMs: 0 };
  const window = durations.window(SPAN_SHAPES[span].lengthMs);
  const bins = window.binsOf(route);
  return {
    route,
    since: at - (monoMs - window.beginMs),
    until: at - (monoMs - window.endMs),
    bins,
    quantiles: QUANTILES.map((quantile) => ({ quantile, seconds: quantileOf(quantile, bins) })),
  };
}

/** The rows of a span, with null where one or more are missing. */
function pointsOf(history: History, span: Span): (Row | null)[] {
  const { lengthMs, stepMs } = SPAN_SHAPES[span];
  const { latest } = history;
  if (!latest) return [];
  const rows = stepMs === FINE_STEP_MS ? history.fine : everyMinute(history.coarse, stepMs);
  const shown = rows.filter(({ monoMs }) => monoMs >= latest.monoMs - lengthMs);
  return shown.flatMap((row, i) => {
    const before = shown[i - 1];
    return before && row.at - before.at > 3 * stepMs ? [null, row] : [row];
  });
}

/** The first row of each step, so that the same rows are chosen each time. */
function everyMinute(rows: readonly Row[], stepMs: number): Row[] {
  if (stepMs === COARSE_STEP_MS) return [...rows];
  const stepOf = ({ monoMs }: Row) => Math.floor(monoMs / stepMs);
  return rows.filter((row, i) => i === 0 || stepOf(row) !== stepOf(rows[i - 1] as Row));
}

function timesOf(points: readonly (Instant | null)[], stepMs: number): number[] {
  return points.map((point, i) => point?.row.at ?? (points[i - 1]?.row.at ?? 0) + stepMs);
}

function rounded(value: number | null, isRounded: boolean): number | null {
  return value === null || !isRounded ? value : Number(value.toPrecision(DIGITS));
}
