import type { Exposition } from '@techcommerce/cluster-metrics/testing';
import type { Tally } from './tally.ts';

/** What the shoppers counted, beside what the metrics did in the same time. */
export interface Report {
  readonly sections: readonly Section[];
  /** In one or more sentences: whether both are equal, and if not, why. */
  readonly verdict: string;
}

export interface Section {
  readonly title: string;
  readonly lines: readonly Line[];
}

export interface Line {
  readonly label: string;
  readonly shoppers: number;
  /** Undefined where nothing is to be compared. */
  readonly metrics?: number | undefined;
  /** The metric's name, or the times of the answers. */
  readonly remark?: string;
}

export interface ReportInput {
  readonly tally: Tally;
  /** People at the end, as the shoppers know it. */
  readonly online: number;
  readonly withCart: number;
  /** Before the first request. */
  readonly before: Exposition;
  /** Right after the last answer. Undefined where the metrics could not be read any more. */
  readonly after: Exposition | undefined;
  /** When the gauges have had time to follow. */
  readonly settled: Exposition | undefined;
}

const SHOPPING = {
  'product views': 'shop_product_views_total',
  'additions to a cart': 'shop_cart_additions_total',
  'units added': 'shop_cart_units_added_total',
  'orders paid': 'shop_orders_total{outcome="paid"}',
  'orders declined': 'shop_orders_total{outcome="declined"}',
  'card payments': 'shop_payments_total{method="card",outcome="approved"}',
  'card payments declined': 'shop_payments_total{method="card",outcome="declined"}',
  'Pix payments': 'shop_payments_total{method="pix",outcome="approved"}',
  'Pix expired': 'shop_payments_total{method="pix",outcome="expired"}',
  'Pix cancelled': 'shop_payments_total{method="pix",outcome="cancelled"}',
  'sales in R$': 'shop_order_value_brl_total',
};

const ERRORS = {
  'mistakes in a form': ['validation'],
  'not found': ['not_found'],
  'card declined': ['payment_declined'],
  conflict: ['conflict'],
  'too many forms': ['rate_limited'],
  'not now (503)': ['overload', 'database'],
  'internal error': ['internal'],
  forbidden: ['forbidden'],
};

export function createReport({ tally, online, withCart, before, after, settled }: ReportInput): Report {
  /** How much the series have grown together. */
  function growth(...selectors: readonly string[]): number | undefined {
    const grown = selectors.map((selector) => (after?.get(selector) ?? Number.NaN) - (before.get(selector) ?? 0));
    const sum = grown.reduce((total, each) => total + each, 0);
    return Number.isNaN(sum) ? undefined : sum;
  }

  const people: Line[] = [
    { label: 'visits', shoppers: tally.of('visits') },
    gauge('online, 5 minutes', online, 'shop_active_sessions'),
    gauge('with a cart, 30 minutes', withCart, 'shop_active_cart_sessions'),
  ];
  function gauge(label: string, shoppers: number, name: string): Line {
    return { label, shoppers, metrics: settled?.get(name), remark: name };
  }

  const shopping = Object.entries(SHOPPING).map(
    ([label, selector]): Line => ({
      label,
      shoppers: tally.of(selector),
      metrics: growth(selector),
      remark: nameOf(selector),
    }),
  );
  const errors = Object.entries(ERRORS).map(([label, types]): Line => {
    const selectors = types.map((type) => `shop_errors_total{type="${type}"}`);
    const shoppers = selectors.reduce((sum, selector) => sum + tally.of(selector), 0);
    return { label, shoppers, metrics: growth(...selectors), remark: types.join(', ') };
  });
  const requests = [...tally.times].sort().map(([request, times]): Line => {
    const [method = '', route = ''] = request.split(' ');
    const selector = `http_request_duration_seconds_count{method="${method}",route="${route}"}`;
    return { label: request, shoppers: times.length, metrics: growth(selector), remark: describeTimes(times) };
  });
  const counted = [...shopping, ...errors, ...requests];
  return {
    sections: [
      { title: 'People; shop_active_* also count who came before', lines: people },
      { title: 'Shopping', lines: shopping },
      { title: 'Errors, by type in shop_errors_total', lines: errors.filter(isSeen) },
      { title: 'Requests, http_request_duration_seconds_count; p50 and p95 as the shoppers saw them', lines: requests },
    ],
    verdict: judge(counted, tally, after?.decreases(before) ?? []),
  };
}

function nameOf(selector: string): string {
  return selector.replace(/\{.*/, '');
}

function isSeen({ shoppers, metrics }: Line): boolean {
  return shoppers > 0 || (metrics ?? 0) > 0;
}

/** To a centavo: sums of amounts in reais are not exact in binary. */
function isEqual({ shoppers, metrics }: Line): boolean {
  return metrics !== undefined && Math.abs(metrics - shoppers) < 0.005;
}

function judge(lines: readonly Line[], tally: Tally, decreases: readonly string[]): string {
  const unanswered = tally.of('unanswered');
  if (lines.every(({ metrics }) => metrics === undefined)) return 'There is nothing to compare with.';
  const differing = lines.filter((line) => line.metrics !== undefined && !isEqual(line));
  const sentences: string[] = [];
  if (unanswered > 0) {
    const reasons = [...tally.reasons].join(', ');
    sentences.push(`Requests without an answer: ${unanswered} (${reasons}). The metrics may count them or not.`);
  }
  if (decreases.length > 0) sentences.push("The shop's primary has restarted, and its metrics with it.");
  else if (differing.length === 0) sentences.push('The metrics count exactly what the shoppers did.');
  else if (differing.every(({ shoppers, metrics = 0 }) => metrics > shoppers)) {
    sentences.push('Lines without = differ: other visitors used the shop too, and the metrics count all of them.');
  } else if (unanswered === 0) {
    sentences.push('The metrics count less than the shoppers did: are they of another shop?');
  }
  return sentences.join(' ');
}

function describeTimes(times: readonly number[]): string {
  const sorted = [...times].sort((a, b) => a - b);
  /** Nearest rank. */
  const quantile = (q: number) => sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? Number.NaN;
  const ms = (q: number) => `${quantile(q).toFixed(quantile(q) < 10 ? 1 : 0)}`.padStart(5);
  return `p50 ${ms(0.5)} ms, p95 ${ms(0.95)} ms`;
}

export function formatReport({ sections, verdict }: Report): string {
  const lines = sections.flatMap(({ lines }) => lines);
  const width = Math.max(...lines.map(({ label }) => label.length));
  const row = (label: string, shoppers: string, metrics: string, mark: string, remark: string) =>
    `  ${label.padEnd(width)} ${shoppers.padStart(9)} ${metrics.padStart(9)} ${mark.padEnd(1)} ${remark}`.trimEnd();
  const formatted = sections
    .filter(({ lines }) => lines.length > 0)
    .map(({ title, lines }) => [title, ...lines.map((line) => row(...cells(line)))].join('\n'));
  return [row('', 'shoppers', 'metrics', '', ''), ...formatted, verdict].join('\n\n');
}

function cells(line: Line): [string, string, string, string, string] {
  const { label, shoppers, metrics, remark = '' } = line;
  return [label, count(shoppers), metrics === undefined ? '' : count(metrics), isEqual(line) ? '=' : '', remark];
}

function count(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toFixed(2);
}
