import { quantilesOf, totalCount } from '../store/bins.ts';
import type { Description } from '../store/description.ts';
import type { Exemplar } from '../store/exemplars.ts';
import { classicCounts, nativeSeriesCounts } from '../store/native-buckets.ts';
import type { BucketExemplars } from './exemplars.ts';
import { escapeLabel, type Family, type Series, startOf } from './series-index.ts';

/** Merged values, ready to be printed. */
export interface View {
  /** Whether it shows the whole cluster, or one process alone. */
  readonly isWhole: boolean;
  readonly families: readonly Family[];
  /** By the slots of the series. A gauge is `[number of processes that know it, value]`. */
  readonly values: Float64Array;
  /** The counts of the summaries' bins when their windows began. Slots beyond the end of the array were 0. */
  readonly before: Float64Array;
  /** The exemplars of a series. A counter has one at most, as that of bucket 0. */
  exemplarsOf(series: Series): BucketExemplars | undefined;
  /** Whether the series belongs to the view at all. */
  has(series: Series): boolean;
}

/** Units for OpenMetrics' `# UNIT` line, recognized at the end of a metric's name. */
const UNITS = ['seconds', 'bytes', 'ratio'];

/** A form of the page as text; `openMetricsCreated` also has a sample `_created` for each start. */
export type TextForm = 'text' | 'openMetrics' | 'openMetricsCreated';

/**
 * Prints a view in Prometheus' text format 0.0.4 or in OpenMetrics 1.0.
 *
 * https://prometheus.io/docs/instrumenting/exposition_formats/ and
 * https://prometheus.io/docs/specs/om/open_metrics_spec/
 */
export function expose(view: View, form: TextForm): string {
  const openMetrics = form !== 'text';
  let text = '';
  for (const family of view.families) {
    const { description, series } = family;
    let samples = '';
    const name = sampleName(description, openMetrics);
    for (const each of series.values()) {
      if (!isShown(view, description, each)) continue;
      // https://prometheus.io/docs/specs/om/open_metrics_spec/#exemplars; the other format has none.
      const exemplars = openMetrics ? view.exemplarsOf(each) : undefined;
      samples += printSeries(view, description, each, name, exemplars);
      if (form === 'openMetricsCreated') samples += printCreated(family, each);
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

/** The number of samples of each series of a metric. */
function linesOf({ type, buckets = [], quantiles = [] }: Description): number {
  if (type === 'histogram') return buckets.length + 3;
  return type === 'summary' ? quantiles.length + 2 : 1;
}

/** Whether the page has the series. */
export function isShown({ values, has }: View, { type }: Description, series: Series): boolean {
  if (!has(series)) return false;
  // A gauge that no process has set is left out. One that is NaN in all processes is shown.
  return type !== 'gauge' || (values[series.slot] as number) > 0 || Number.isNaN(values[series.slot + 1]);
}

/** The unit that a family's name ends with. */
export function unitOf(family: string): string | undefined {
  return UNITS.find((unit) => family.endsWith(`_${unit}`));
}

/** In OpenMetrics, the name of a counter's family has no `_total`; the names of its samples have it. */
function familyName({ name, type }: Description, openMetrics: boolean): string {
  return openMetrics && type === 'counter' ? name.replace(/_total$/, '') : name;
}

function sampleName(description: Description, openMetrics: boolean): string {
  const name = familyName(description, openMetrics);
  return openMetrics && description.type === 'counter' ? `${name}_total` : name;
}

/** https://prometheus.io/docs/specs/om/open_metrics_spec/#counter: a gauge has no start. */
function printCreated(family: Family, series: Series): string {
  const { description } = family;
  const startMs = startOf(family, series);
  if (description.type === 'gauge' || startMs === null) return '';
  return `${familyName(description, true)}_created${braces(series.labelText)} ${startMs / 1000}\n`;
}

function printHead(description: Description, openMetrics: boolean): string {
  const name = familyName(description, openMetrics);
  const unit = openMetrics && unitOf(name);
  const help = description.help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
  const quotesEscaped = openMetrics ? help.replaceAll('"', '\\"') : help;
  return `# HELP ${name} ${quotesEscaped}\n# TYPE ${name} ${description.type}\n${unit ? `# UNIT ${name} ${unit}\n` : ''}`;
}

function printSeries(
  view: View,
  description: Description,
  series: Series,
  name: string,
  exemplars: BucketExemplars | undefined,
): string {
  const { values } = view;
  const first = values[series.slot] as number;
  switch (description.type) {
    case 'counter':
      return `${name}${braces(series.labelText)} ${print(first)}${printExemplar(exemplars?.get(0))}\n`;
    case 'gauge':
      return `${name}${braces(series.labelText)} ${print(gaugeValue(view, description, series))}\n`;
    case 'histogram':
      return printHistogram(view, description, series, name, exemplars);
    case 'summary':
      return printSummary(view, description, series, name);
  }
}

export function gaugeValue({ values }: View, { aggregator }: Description, { slot }: Series): number {
  const value = values[slot + 1] as number;
  return aggregator === 'average' ? value / (values[slot] as number) : value;
}

/** The quantiles of a summary in its window, and the number of all its observations. */
export function summaryValues({ values, before }: View, { quantiles = [] }: Description, { slot, chunks }: Series) {
  const bins = { chunks, zeroSlot: slot + 1, values };
  return { inWindow: quantilesOf(bins, before, quantiles), count: totalCount(bins) };
}

/** The counts of a native histogram's series, or of a summary's. */
export function nativeSeriesOf({ values }: View, { type, buckets = [] }: Description, { slot, chunks }: Series) {
  return type === 'summary'
    ? { chunks, zeroSlot: slot + 1, values }
    : nativeSeriesCounts(slot, chunks, buckets, values);
}

/** The classic buckets of a histogram's series: one count for each bound, and one above all bounds. Not cumulative. */
export function bucketCounts({ values }: View, description: Description, { slot, chunks }: Series): ArrayLike<number> {
  const { buckets = [], native } = description;
  if (native === undefined) return values.subarray(slot + 1, slot + 2 + buckets.length);
  return classicCounts(nativeSeriesCounts(slot, chunks, buckets, values));
}

function printHistogram(
  view: View,
  description: Description,
  series: Series,
  name: string,
  exemplars: BucketExemplars | undefined,
): string {
  const { buckets = [] } = description;
  const counts = bucketCounts(view, description, series);
  const open = openBraces(series.labelText);
  let text = '';
  let count = 0;
  for (let i = 0; i <= buckets.length; i++) {
    count += counts[i] as number;
    const le = i < buckets.length ? buckets[i] : '+Inf';
    text += `${name}_bucket${open}le="${le}"} ${count}${printExemplar(exemplars?.get(i))}\n`;
  }
  const labels = braces(series.labelText);
  return `${text}${name}_sum${labels} ${print(view.values[series.slot] as number)}\n${name}_count${labels} ${count}\n`;
}

function printExemplar(exemplar: Exemplar | undefined): string {
  if (exemplar === undefined) return '';
  const { labels, value, timestampMs } = exemplar;
  const pairs = Object.keys(labels).map((name) => `${name}="${escapeLabel(labels[name] as string)}"`);
  return ` # {${pairs.join(',')}} ${print(value)} ${timestampMs / 1000}`;
}

function printSummary(view: View, description: Description, series: Series, name: string): string {
  const { quantiles = [] } = description;
  const { inWindow, count } = summaryValues(view, description, series);
  const open = openBraces(series.labelText);
  const lines = quantiles.map(
    (quantile, i) => `${name}${open}quantile="${quantile}"} ${print(inWindow[i] as number)}\n`,
  );
  const labels = braces(series.labelText);
  return `${lines.join('')}${name}_sum${labels} ${print(view.values[series.slot] as number)}\n${name}_count${labels} ${print(count)}\n`;
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
