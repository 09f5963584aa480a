import { BOOK_NAMES, BOOKS, closeBooks, type Line, type Products } from './books.ts';
import { REQUESTS } from './pages.ts';
import { timesOf } from './profiles.ts';

/** The part of what k6 gives to `handleSummary` that is read here. */
export interface SummaryData {
  readonly metrics: Readonly<Record<string, Metric | undefined>>;
  readonly state: { readonly testRunDurationMs: number };
  /** What `setup` returned. Absent when it failed. */
  readonly setup_data?: { readonly products: Products } | undefined;
}

interface Metric {
  readonly values: Readonly<Record<string, number | undefined>>;
  readonly thresholds?: Readonly<Record<string, { readonly ok: boolean }>>;
}

/** What a run has shown; the JSON file holds it as it is. */
export interface Report {
  readonly script: string;
  readonly passed: boolean;
  readonly seconds: number;
  readonly visits: number;
  /** Visits that could not begin, since all of k6's shoppers were busy. */
  readonly droppedVisits: number;
  readonly requests: number;
  /** Part of the requests with another answer than the script expects, 0 to 1. */
  readonly failed: number;
  readonly failedChecks: number;
  readonly pages: readonly PageTimes[];
  /** Thresholds that were crossed, but for those of pages and books. */
  readonly crossed: readonly string[];
  /** Null where the books were not kept. */
  readonly books: { readonly isBalanced: boolean; readonly lines: readonly Line[] } | null;
  readonly hints: readonly string[];
}

/** Milliseconds of the expected answers. */
export interface PageTimes {
  readonly request: string;
  readonly count: number;
  readonly med: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
  /** As k6 writes it: `p(99)<250`. */
  readonly level: string;
  readonly isKept: boolean;
}

/** @param account whether the books were kept */
export function createReport(script: string, { metrics, state, setup_data }: SummaryData, account: boolean): Report {
  const read = (metric: string, value: string) => metrics[metric]?.values[value] ?? 0;
  const crossedOf = (name: string) =>
    Object.entries(metrics[name]?.thresholds ?? {}).flatMap(([threshold, { ok }]) =>
      ok ? [] : [`${name}: ${threshold}`],
    );

  const crossedAll = Object.keys(metrics).flatMap(crossedOf);
  const slugs = new Map(Object.entries(setup_data?.products ?? {}).map(([slug, id]) => [String(id), slug]));
  const lines = closeBooks((sum) => metrics[sum]?.values.count).map((line) =>
    line.book === 'additions' ? { ...line, entry: slugs.get(line.entry) ?? line.entry } : line,
  );
  const books = account
    ? {
        // Without a single request that both sides know, nothing was compared.
        isBalanced: lines.every(({ isBalanced }) => isBalanced) && lines.some(({ book }) => book === 'requests'),
        lines,
      }
    : null;
  const droppedVisits = read('dropped_iterations', 'count');
  return {
    script,
    passed: crossedAll.length === 0 && books?.isBalanced !== false,
    seconds: state.testRunDurationMs / 1000,
    visits: read('iterations', 'count'),
    droppedVisits,
    requests: read('http_reqs', 'count'),
    failed: read('unexpected', 'rate'),
    failedChecks: read('checks', 'fails'),
    pages: REQUESTS.flatMap((request) => readTimes(request, metrics[timesOf(request)])),
    crossed: crossedAll.filter((name) => !/^(books_|http_req_duration\{)/.test(name)),
    books,
    hints: hintsFor({ lines, droppedVisits, unanswered: read('unanswered', 'count') }),
  };
}

function readTimes(request: string, metric: Metric | undefined): PageTimes[] {
  const { count = 0, med = 0, 'p(95)': p95 = 0, 'p(99)': p99 = 0, max = 0 } = metric?.values ?? {};
  if (count === 0) return [];
  const [[level, { ok }] = ['', { ok: true }]] = Object.entries(metric?.thresholds ?? {});
  return [{ request, count, med, p95, p99, max, level, isKept: ok }];
}

interface Symptoms {
  readonly lines: readonly Line[];
  readonly droppedVisits: number;
  readonly unanswered: number;
}

function hintsFor({ lines, droppedVisits, unanswered }: Symptoms): string[] {
  const errors = (type: string) => lines.find(({ book, entry }) => book === 'errors' && entry === type)?.most ?? 0;
  const hints: string[] = [];
  if (errors('rate_limited') > 0)
    hints.push('The shop took no more forms from this address: start it with RATE_LIMIT=off.');
  if (errors('conflict') > 0)
    hints.push('Products were sold out during the test: docs/load.md tells how to fill the shelves.');
  if (unanswered > 0) hints.push(`Requests without an answer: ${unanswered}. The shop may have counted them or not.`);
  if (droppedVisits > 0)
    hints.push('Some visits could not begin: lower SHOP_RATE or SHOP_THINK, or give k6 more of the machine.');
  if (lines.some(({ isBalanced }) => !isBalanced)) {
    hints.push(
      'The books do not balance: did anyone else use the shop, or did a worker crash? With several instances, SHOP_METRICS_URL must name each. ACCOUNT=false switches the books off.',
    );
  }
  return hints;
}

/** The report as a table for the terminal. */
export function formatReport(report: Report): string {
  const { script, seconds, visits, droppedVisits, requests, failed, failedChecks, pages, crossed, books, hints } =
    report;
  const sections = [
    [
      `${script}: ${report.passed ? 'passed' : 'FAILED'}`,
      `  ${visits} visits, ${requests} requests in ${seconds.toFixed(1)} s (${(requests / seconds).toFixed(1)} a second)`,
      `  not as expected: ${(100 * failed).toFixed(2)} % of the requests, ${failedChecks} checks; visits that could not begin: ${droppedVisits}`,
    ],
    [
      'Pages, in ms',
      ...table(
        ['', 'answers', 'p50', 'p95', 'p99', 'max', 'level'],
        pages.map(({ request, count, med, p95, p99, max, level, isKept }) => [
          request,
          String(count),
          ...[med, p95, p99, max].map((ms) => ms.toFixed(1)),
          `${level}${isKept ? '' : ' CROSSED'}`,
        ]),
      ),
    ],
    ...(crossed.length > 0 ? [['Crossed', ...crossed.map((each) => `  ${each}`)]] : []),
    ...(books ? [formatBooks(books)] : []),
    ...(hints.length > 0 ? [hints.map((hint) => `! ${hint}`)] : []),
  ];
  return `\n${sections.map((lines) => lines.join('\n')).join('\n\n')}\n\n`;
}

function formatBooks({ isBalanced, lines }: NonNullable<Report['books']>): string[] {
  const rows = BOOK_NAMES.flatMap((name) => {
    // What may have been, and was not, is in the JSON file alone.
    const own = lines.filter(({ book, least, shop }) => book === name && least + shop > 0);
    return own.length === 0 ? [] : [[BOOKS[name].title], ...own.map(cellsOf)];
  });
  if (rows.length === 0) return ['The books were not compared'];
  return [isBalanced ? 'The books balance' : 'THE BOOKS DO NOT BALANCE', ...table(['', 'k6', 'shop', ''], rows)];
}

function cellsOf({ entry, least, most, shop, isBalanced }: Line): string[] {
  const k6 = least === most ? String(most) : `${least} to ${most}`;
  return [`  ${entry}`, k6, String(shop), isBalanced ? '=' : 'DIFFERS'];
}

/** The first and the last column to the left, numbers to the right. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  return all.map((row) => {
    const cells = row.map((cell, column) => {
      const isText = column === 0 || column === row.length - 1;
      return isText ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0);
    });
    return `  ${cells.join('  ')}`.trimEnd();
  });
}
