import { quantilesOf, totalCount } from '../store/bins.ts';
import type { Description } from '../store/description.ts';
import type { Family, Series } from './series-index.ts';

/** Merged values, ready to be printed. */
export interface View {
  readonly families: readonly Family[];
  /** By the slots of the series. A gauge is `[number of processes that know it, value]`. */
  readonly values: Float64Array;
  /** The counts of the summaries' bins when their windows began. Slots beyond the end of the array were 0. */
  readonly before: Float64Array;
  /** Whether the series belongs to the view at all. */
  has(series: Series): boolean;
}

/** Units for OpenMetrics' `# UNIT` line, recognized at the end of a metric's name. */
const UNITS = ['seconds', 'bytes', 'ratio'];

/**
 * Prints a view in Prometheus' text format 0.0.4 or in OpenMetrics 1.0.
 *
 * https://prometheus.io/docs/instrumenting/exposition_formats/ and
 * https://prometheus.io/docs/specs/om/open_metrics_spec/
 */
export function expose(view: View, openMetrics: boolean): string {
  let text = '';
  for (const { description, series } of view.families) {
    let samples = '';
    const name = sampleName(description, openMetrics);
    for (const each of series.values()) {
      if (isShown(view, description, each)) samples += printSeries(view, description, each, name);
    }
    if (samples !== '') text += printHead(description, openMetrics) + samples;
  }
  return openMetrics ? `${text}# EOF\n` : text;
}

/** The number of samples that `expose` prints. */
export function countSamples(view: View): number {
  let count = 0;
  for (const { description, series } of view.families) {
    const lines = linesOf(description);
    for (const each of series.values()) if (isShown(view, description, each)) count += lines;
  }
  return count;
}

function linesOf({ type, buckets = [], quantiles = [] }: Description): number {
  if (type === 'histogram') return buckets.length + 3;
  return type === 'summary' ? quantiles.length + 2 : 1;
}

function isShown({ values, has }: View, { type }: Description, series: Series): boolean {
  if (!has(series)) return false;
  // A gauge that no process has set is left out. One that is NaN in all processes is shown.
  return type !== 'gauge' || (values[series.slot] as number) > 0 || Number.isNaN(values[series.slot + 1]);
}

/** In OpenMetrics, the name of a counter's family has no `_total`; the names of its samples have it. */
function familyName({ name, type }: Description, openMetrics: boolean): string {
  return openMetrics && type === 'counter' ? name.replace(/_total$/, '') : name;
}

function sampleName(description: Description, openMetrics: boolean): string {
  const name = familyName(description, openMetrics);
  return openMetrics && description.type === 'counter' ? `${name}_total` : name;
}

function printHead(description: Description, openMetrics: boolean): string {
  const name = familyName(description, openMetrics);
  const unit = openMetrics && UNITS.find((unit) => name.endsWith(`_${unit}`));
  const help = description.help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
  const quotesEscaped = openMetrics ? help.replaceAll('"', '\\"') : help;
  return `# HELP ${name} ${quotesEscaped}\n# TYPE ${name} ${description.type}\n${unit ? `# UNIT ${name} ${unit}\n` : ''}`;
}

function printSeries(view: View, description: Description, series: Series, name: string): string {
  const { values } = view;
  const first = values[series.slot] as number;
  switch (description.type) {
    case 'counter':
      return `${name}${braces(series.labelText)} ${print(first)}\n`;
    case 'gauge': {
      const value = values[series.slot + 1] as number;
      return `${name}${braces(series.labelText)} ${print(description.aggregator === 'average' ? value / first : value)}\n`;
    }
    case 'histogram':
      return printHistogram(view, description, series, name);
    case 'summary':
      return printSummary(view, description, series, name);
  }
}

function printHistogram({ values }: View, { buckets = [] }: Description, series: Series, name: string): string {
  const open = openBraces(series.labelText);
  let text = '';
  let count = 0;
  for (let i = 0; i <= buckets.length; i++) {
    count += values[series.slot + 1 + i] as number;
    text += `${name}_bucket${open}le="${i < buckets.length ? buckets[i] : '+Inf'}"} ${count}\n`;
  }
  const labels = braces(series.labelText);
  return `${text}${name}_sum${labels} ${print(values[series.slot] as number)}\n${name}_count${labels} ${count}\n`;
}

function printSummary({ values, before }: View, { quantiles = [] }: Description, series: Series, name: string): string {
  const bins = { chunks: series.chunks, zeroSlot: series.slot + 1 };
  const inWindow = quantilesOf(
    { ...bins, countAt: (slot) => (values[slot] as number) - (before[slot] ?? 0) },
    quantiles,
  );
  const count = totalCount({ ...bins, countAt: (slot) => values[slot] as number });
  const open = openBraces(series.labelText);
  const lines = quantiles.map(
    (quantile, i) => `${name}${open}quantile="${quantile}"} ${print(inWindow[i] as number)}\n`,
  );
  const labels = braces(series.labelText);
  return `${lines.join('')}${name}_sum${labels} ${print(values[series.slot] as number)}\n${name}_count${labels} ${print(count)}\n`;
}

function braces(labelText: string): string {
  return labelText === '' ? '' : `{${labelText}}`;
}

function openBraces(labelText: string): string {
  return labelText === '' ? '{' : `{${labelText},`;
}

function print(value: number): string {
  if (Number.isFinite(value) || Number.isNaN(value)) return `${value}`;
  return value > 0 ? '+Inf' : '-Inf';
}
