import type { Language } from '../format.ts';
import { textIn } from '../texts.ts';
import { headersOf } from './connection.ts';
import { type Bucket, drawHistogram, drawSummary, histogramTable, type Quantile, type SummaryRow } from './drawings.ts';

const MOST_LINES = 24;
const MOST_OPERATIONS = 8;
const COPIED_MS = 2000;

/** The section of the seven metrics: their raw lines and the drawings made of them, while it is open. */
export interface SevenMetrics {
  /** Whether it is on the screen. */
  readonly isOpen: boolean;
  /** Reads `/metrics` and shows it. */
  refresh(): void;
}

export function createSevenMetrics(root: ParentNode, language: Language, token: string | null): SevenMetrics {
  const section = root.querySelector<HTMLDetailsElement>('[data-seven]');
  const articles = [...root.querySelectorAll<HTMLElement>('[data-metric-name]')];

  async function refresh(): Promise<void> {
    const response = await fetch('/metrics', { headers: headersOf(token) }).catch(() => null);
    if (!response?.ok) return;
    const lines = (await response.text()).split('\n');
    for (const article of articles) showMetric(article, lines, language);
  }

  section?.addEventListener('toggle', () => {
    if (section.open) void refresh();
  });
  for (const button of root.querySelectorAll<HTMLButtonElement>('[data-copy]')) {
    button.addEventListener('click', () => {
      const code = button.parentElement?.querySelector('code');
      if (code) void copy(code, button, language);
    });
  }

  return {
    get isOpen() {
      return section?.open ?? false;
    },
    refresh: () => void refresh(),
  };
}

async function copy(code: HTMLElement, button: HTMLButtonElement, language: Language): Promise<void> {
  try {
    await navigator.clipboard.writeText(code.textContent ?? '');
    button.textContent = textIn(language, 'copied');
    setTimeout(() => {
      button.textContent = textIn(language, 'copy');
    }, COPIED_MS);
  } catch {
    // Browsers allow it on localhost and with https only. The text is selected instead, for Ctrl+C.
    getSelection()?.selectAllChildren(code);
  }
}

function showMetric(article: HTMLElement, page: readonly string[], language: Language): void {
  const { metricName: name = '', metricKind: kind } = article.dataset;
  const isOwn = new RegExp(`^(# (HELP|TYPE) )?${name}(_bucket|_count|_sum)?[ {]`);
  const lines = page.filter((line) => isOwn.test(line));
  const raw = article.querySelector('[data-raw] code');
  // Lines with a value above 0 come first, below the HELP and TYPE lines of their metric.
  const shown = lines.toSorted((a, b) => rankOf(a) - rankOf(b)).slice(0, MOST_LINES);
  const rest = lines.length - shown.length;
  const text = [...shown, ...(rest > 0 ? [textIn(language, 'moreLines', { count: String(rest) })] : [])].join('\n');
  if (raw && raw.textContent !== text) raw.textContent = text;
  const place = article.querySelector('[data-drawing]');
  if (!place) return;
  const draw = kind === 'histogram' ? histogramOf : summaryOf;
  place.replaceChildren(...draw(name, lines, place.clientWidth, language));
}

function rankOf(line: string): number {
  if (line.startsWith('#')) return 0;
  return / (0|NaN)$/i.test(line) ? 2 : 1;
}

/** The buckets of all series together. */
function histogramOf(name: string, lines: readonly string[], room: number, language: Language): Element[] {
  const sums = new Map<string, number>();
  for (const line of lines) {
    if (!line.startsWith(`${name}_bucket`)) continue;
    const le = labelIn(line, 'le');
    sums.set(le, (sums.get(le) ?? 0) + valueIn(line));
  }
  const cumulative = [...sums].map(([le, count]) => ({ le: le === '+Inf' ? null : Number(le), count }));
  const buckets: Bucket[] = cumulative.map(({ le, count }, i) => ({
    le,
    count: count - (cumulative[i - 1]?.count ?? 0),
  }));
  const quantiles = [0.5, 0.9, 0.95, 0.99].map((quantile) => ({ quantile, seconds: quantileOf(cumulative, quantile) }));
  if ((cumulative.at(-1)?.count ?? 0) === 0) return [];
  const table = document.createElement('details');
  const summary = document.createElement('summary');
  summary.textContent = textIn(language, 'table');
  table.append(summary, histogramTable(buckets, quantiles, language));
  return [drawHistogram(buckets, quantiles, room, language), table];
}

/** As PromQL's `histogram_quantile`: linear within a bucket. */
function quantileOf(cumulative: readonly Bucket[], quantile: number): number | null {
  const rank = quantile * (cumulative.at(-1)?.count ?? 0);
  const i = cumulative.findIndex(({ count }) => count >= rank);
  const bucket = cumulative[i];
  if (!bucket || rank === 0) return null;
  const [lower, below] = [cumulative[i - 1]?.le ?? 0, cumulative[i - 1]?.count ?? 0];
  if (bucket.le === null) return lower;
  return lower + ((bucket.le - lower) * (rank - below)) / (bucket.count - below);
}

/** The slowest operations. */
function summaryOf(name: string, lines: readonly string[], room: number, language: Language): Element[] {
  const rows = new Map<string, Quantile[]>();
  for (const line of lines) {
    if (!line.startsWith(`${name}{`)) continue;
    const operation = [labelIn(line, 'operation'), labelIn(line, 'table')]
      .filter((label) => label !== 'none')
      .join(' ');
    const value = valueIn(line);
    const quantile = { quantile: Number(labelIn(line, 'quantile')), seconds: Number.isNaN(value) ? null : value };
    rows.set(operation, [...(rows.get(operation) ?? []), quantile]);
  }
  const slowest = ({ quantiles }: SummaryRow) => quantiles.at(-1)?.seconds ?? 0;
  const measured = [...rows]
    .map(([operation, quantiles]): SummaryRow => ({ name: operation, quantiles }))
    .filter((row) => slowest(row) > 0)
    .sort((a, b) => slowest(b) - slowest(a))
    .slice(0, MOST_OPERATIONS);
  return measured.length === 0 ? [] : [drawSummary(measured, room, language)];
}

function labelIn(line: string, label: string): string {
  return new RegExp(`[{,]${label}="([^"]*)"`).exec(line)?.[1] ?? '';
}

function valueIn(line: string): number {
  return Number(line.slice(line.lastIndexOf(' ') + 1));
}
