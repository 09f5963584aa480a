import { ORDER_OUTCOMES } from '../../instrument/label-values.ts';
import type { Key } from './model.ts';

/*
 * Makes the keys of all numbers of the live page, so that the history, the page and the browser spell each one alike.
 */

export type Labels = Readonly<Record<string, string>>;

export type Window = '10s' | '5m' | '1h';

export const CHECKOUT = '/checkout';

/** Routes for programs, and of files, as PromQL matches them. All others are pages and forms for visitors. */
const NOT_PAGES = '/livez|/metrics|/readyz|/static/.*|/[^/]+[.][a-z]+|unmatched';
const isNotPage = new RegExp(`^(?:${NOT_PAGES})$`);

export function isPage(route: string): boolean {
  return !isNotPage.test(route);
}

/** A series of `/metrics`, or the sum of the series that have these labels. */
export function series(name: string, labels: Labels = {}): Key {
  const pairs = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
  if (pairs.length === 0) return name;
  return `${name}{${pairs.map(([label, value]) => `${label}=${JSON.stringify(value)}`).join(',')}}`;
}

/** A series of one worker, as `/metrics?worker=2` has it. */
export function atWorker(name: string, worker: number): Key {
  return `${name}@${worker}`;
}

/** Growth of a counter over the window, exact; since the start of the primary, while that is shorter ago. */
export function increase(counter: Key, window: Window): Key {
  return `increase(${counter}[${window}])`;
}

/** Growth a second over the last 10 seconds. */
export function rate(counter: Key): Key {
  return `rate(${counter}[10s])`;
}

/**
 * A quantile of a histogram: of the last 10 seconds in the courses, from classic buckets; of 5 minutes in the table of
 * routes, from native ones.
 *
 * @param histogram its name without `_bucket`; labels that are left out are summed over
 */
export function quantile(q: number, histogram: Key, window: Window): Key {
  return `histogram_quantile(${q}, ${histogram}[${window}])`;
}

/** The same number 15 minutes ago. */
export function earlier(key: Key): Key {
  if (key.includes(' / ')) return key.split(' / ').map(earlier).join(' / ');
  return key.startsWith('increase(') ? key.replace(/\)$/, ' offset 15m)') : `${key} offset 15m`;
}

const [paid] = ORDER_OUTCOMES;

export const people: Key = series('shop_active_sessions');
export const withCart: Key = series('shop_active_cart_sessions');
export const orders = (outcome: string): Key => series('shop_orders_total', { outcome });
export const paidOrders: Key = orders(paid);
export const revenue: Key = series('shop_order_value_brl_total');
export const views = (product: string): Key => series('shop_product_views_total', { product });
export const additions = (product: string): Key => series('shop_cart_additions_total', { product });
export const sold = (product: string): Key => series('shop_units_sold_total', { product });
export const allViews: Key = series('shop_product_views_total');
export const allAdditions: Key = series('shop_cart_additions_total');
export const allSold: Key = series('shop_units_sold_total');
export const requests = (route?: string): Key => series('http_request_duration_seconds_count', route ? { route } : {});
/** @param route all pages together if it is left out */
export const duration = (route?: string): Key =>
  route ? series('http_request_duration_seconds', { route }) : `http_request_duration_seconds{route!~"${NOT_PAGES}"}`;
export const errors = (route?: string): Key => series('shop_errors_total', route ? { route } : {});
/** Types of errors that are the shop's own, and end a page with 5xx. */
export const FAILURES = ['database', 'overload', 'internal'] as const;
export const failures = (route: string, type: (typeof FAILURES)[number]): Key =>
  series('shop_errors_total', { route, type });
export const phaseSum = (phase: string): Key => series('shop_checkout_phase_duration_seconds_sum', { phase });
export const phaseCount = (phase: string): Key => series('shop_checkout_phase_duration_seconds_count', { phase });
/** @param route all routes together if it is left out */
export const requestTime = (spent: string, route?: string): Key =>
  series('shop_request_time_seconds_total', route ? { route, spent } : { spent });
export const payments = (method: string, outcome: string): Key => series('shop_payments_total', { method, outcome });
export const connections = (state: string): Key => series('shop_db_connections', { state });
export const cpu = (worker: string): Key => series('shop_cpu_usage_ratio', { worker });
export const workerAge = (worker: number): Key => series('shop_metrics_worker_age_seconds', { worker: String(worker) });

export const restarts = (reason: string): Key => series('shop_worker_restarts_total', { reason });

/** Mean seconds of a phase of the checkout over 5 minutes. */
export const phaseMean = (phase: string): Key =>
  `${increase(phaseSum(phase), '5m')} / ${increase(phaseCount(phase), '5m')}`;

/** Attempts to order in the last hour, of all outcomes. */
export const orderAttempts: Key = increase(series('shop_orders_total'), '1h');

/**
 * Paid orders for each view of a product page in the last hour. No metric counts the visitors of an hour, so this is the
 * honest form of a conversion: both sides are counters.
 */
export const conversion: Key = `${increase(paidOrders, '1h')} / ${increase(allViews, '1h')}`;

/** The labels of the metrics that the page shows, by the alphabet. A metric that is missing here has none. */
const LABELS: Readonly<Record<string, readonly string[]>> = {
  http_request_duration_seconds_count: ['method', 'route', 'status_code'],
  shop_cart_additions_total: ['product'],
  shop_checkout_phase_duration_seconds_count: ['phase'],
  shop_checkout_phase_duration_seconds_sum: ['phase'],
  shop_cpu_usage_ratio: ['worker'],
  shop_db_connections: ['state'],
  shop_db_operation_duration_seconds: ['operation', 'quantile', 'table'],
  shop_db_server_blocks_total: ['source'],
  shop_db_server_connections: ['state'],
  shop_db_server_rows_total: ['operation'],
  shop_db_server_transactions_total: ['outcome'],
  shop_errors_total: ['route', 'type'],
  shop_metrics_worker_age_seconds: ['worker'],
  shop_orders_total: ['outcome'],
  shop_payments_total: ['method', 'outcome'],
  shop_product_views_total: ['product'],
  shop_request_time_seconds_total: ['route', 'spent'],
  shop_units_sold_total: ['product'],
  shop_worker_restarts_total: ['reason'],
};

export interface SeriesName {
  readonly metric: string;
  readonly labels: Labels;
}

/** The name and labels in a key of series; null for an expression, and for the series of one worker. */
export function parseSeries(key: Key): SeriesName | null {
  const [, metric, pairs = ''] = /^([a-z_]+)(?:\{(.*)\})?$/.exec(key) ?? [];
  if (metric === undefined) return null;
  const labels = Array.from(pairs.matchAll(/(\w+)=("(?:[^"\\]|\\.)*")/g), ([, label = '', value = '']) => [
    label,
    JSON.parse(value) as string,
  ]);
  return { metric, labels: Object.fromEntries(labels) };
}

/** The one series of `/metrics` that a key names; null for all others, sums included. */
export function straightSeries(key: Key): SeriesName | null {
  const found = parseSeries(key);
  if (!found) return null;
  const wanted = LABELS[found.metric] ?? [];
  return wanted.join() === Object.keys(found.labels).join() ? found : null;
}
