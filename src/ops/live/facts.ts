import { cpus } from 'node:os';
import { ERROR_TYPES, PAYMENT_METHODS, PAYMENT_OUTCOMES, SPENT } from '../../instrument/label-values.ts';
import { countBuckets, growthIn, histogramQuantile, type Instant } from './evaluate.ts';
import type { History, Row } from './history.ts';
import {
  atWorker,
  CHECKOUT,
  cpu,
  duration,
  FAILURES,
  failures,
  isPage,
  type Labels,
  parseSeries,
  payments,
  requests,
  requestTime,
  series,
  workerAge,
} from './keys.ts';
import type { Key, WorkerRow } from './model.ts';

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const LONG_MS = 5 * MINUTE_MS;

/** A mean of fewer events says nothing. */
export const LEAST_EVENTS = 3;
/** Of this many pages or fewer, one slow page would be the 95th percentile. */
export const LEAST_PAGES = 20;

const SUBMITS = { method: 'POST', route: CHECKOUT };
const CHECKOUT_SUM = series('http_request_duration_seconds_sum', SUBMITS);
const CHECKOUT_COUNT = series('http_request_duration_seconds_count', SUBMITS);

/** A worker that loads its code and compiles it is late in its first seconds. */
const WARM_UP_SECONDS = 10;

/** A median of fewer rows says nothing. */
const LEAST_ROWS = 5;

/** A heap fills in its first minute, with compiled code and with pages that are kept. */
const HEAP_WARM_UP_SECONDS = 60;

/** A mean over the last minute, or over 5 where the minute has too few events. */
export interface Mean {
  readonly count: number;
  readonly seconds: number;
}

/** What the rules compare. A number is null while it is not known, or has too few events. */
export interface Facts {
  /** States of the places. */
  readonly workers: readonly Pick<WorkerRow, 'state' | 'restarts'>[];
  readonly people: number | null;
  readonly databaseUp: boolean | null;
  readonly databaseDiskFull: boolean;
  /** Database operations that had enough events, the slowest first. */
  readonly operations: readonly (Mean & { readonly operation: string; readonly table: string })[];
  /** Requests that waited for a connection through all of the last 5 seconds, at the least. */
  readonly waiting: number;
  /** Connections to the database server, and its limit. */
  readonly serverConnections: { readonly open: number; readonly max: number } | null;
  readonly catalogueAgeSeconds: number | null;
  /** Submits of the checkout, and the part of its time that went to each wait. */
  readonly checkout: (Mean & { readonly spent: Readonly<Record<(typeof SPENT)[number], number>> }) | null;
  readonly payment: Mean | null;
  /** How payments by card ended, in the last minute or 5. */
  readonly payments: { readonly failed: number; readonly all: number };
  /** Payments of any method that failed in the last minute. */
  readonly newFailedPayments: number;
  /** Payments that were unsettled through all of the last 30 seconds, at the least. */
  readonly unsettledPayments: number;
  /** Time in the shop's own code by route of a page, the slowest first. That of the checkout is of its submits. */
  readonly codeTimes: readonly (Mean & { readonly route: string })[];
  /** All pages over 5 minutes. */
  readonly pages: { readonly count: number; readonly p50: number | null; readonly p95: number | null };
  /** Route whose pages take longest, by p95 over 5 minutes. */
  readonly slowestRoute: string;
  /** Errors of the last 5 minutes, by type. */
  readonly errors: Readonly<Record<string, number>>;
  /** The same of the last minute. */
  readonly newErrors: Readonly<Record<string, number>>;
  /** Route with the most failures of the shop in the last 5 minutes: of all kinds, and of those that no code foresaw. */
  readonly failingRoute: string;
  readonly faultyRoute: string;
  /** Workers that ended in the last 5 minutes, by reason. */
  readonly restarts: Readonly<Record<string, number>>;
  /** Delay of each serving worker's event loop: the median of the last 10 seconds' p99; the longest first. */
  readonly lags: readonly { readonly worker: number; readonly seconds: number }[];
  /** The longest delay of a serving worker's event loop in the last minute, those of its first seconds left out. */
  readonly peakLagSeconds: number;
  /** Serving workers by the age of their metrics, the oldest of the last 10 seconds; the oldest first. */
  readonly ages: readonly { readonly worker: number; readonly seconds: number }[];
  /** The oldest age of a serving worker's metrics in the last minute. */
  readonly peakAgeSeconds: number;
  /** By how much each serving worker's heap exceeds its least of the last 5 minutes; the most first. */
  readonly heapGrowths: readonly { readonly worker: number; readonly bytes: number }[];
  /** Busy part of the machine's cores over the last 5 seconds. */
  readonly hostCpu: number | null;
  readonly cores: number;
  /**
   * The least part of the machine's cores that programs other than the shop have used over the last 10 seconds. Each
   * connection in use counts as a core that the database uses for the shop.
   */
  readonly othersCpu: number;
  /** Cores that each serving worker used over the last 5 seconds. */
  readonly workerCpu: readonly number[];
  /** Requests a second over the last 10 seconds. */
  readonly requestRate: number;
  /** Visits without a cookie, and all requests for pages, over 5 minutes. */
  readonly visits: { readonly withoutCookie: number; readonly all: number };
}

/** Reads what the rules compare; `latest` are the numbers without a history. */
export type FactReader = (instant: Instant, latest: ReadonlyMap<Key, number>, workers: readonly WorkerRow[]) => Facts;

/** Makes the function that reads the facts from a history. */
export function createFactReader(history: History): FactReader {
  const findSeries = createSeriesFinder(history);
  // All cores of the machine, as in shop_host_cpu_usage_ratio, also where this process may use fewer.
  const cores = cpus().length;
  const counters = new Map<Key, ReturnType<typeof countBuckets>>();
  const countIn = (instant: Instant, histogram: Key): number[] => {
    const beginning = instant.beginningOf(LONG_MS);
    const count = counters.get(histogram) ?? countBuckets(history, histogram);
    counters.set(histogram, count);
    return beginning ? count(instant.row, beginning) : [];
  };

  return function readFacts(instant, latest, workers) {
    const grown = (key: Key, windowMs = LONG_MS) => growthIn(history, key, instant, windowMs);
    const numberIn = (row: Row, key: Key) => row.values[history.columnOf(key) ?? -1] ?? Number.NaN;
    const known = (key: Key) => {
      const value = latest.get(key) ?? numberIn(instant.row, key);
      return Number.isNaN(value) ? null : value;
    };
    /** Values of the last seconds, those that are known. */
    const recent = (key: Key, seconds: number) =>
      history.fine
        .filter(({ monoMs }) => monoMs > instant.row.monoMs - seconds * SECOND_MS)
        .map((row) => numberIn(row, key))
        .filter((value) => !Number.isNaN(value));
    /** 0 while it is not known for all of the time. */
    const leastOf = (key: Key, seconds: number) => {
      const values = recent(key, seconds);
      return values.length < seconds - 1 ? 0 : Math.min(...values);
    };
    const meanOf = (sum: Key, count: Key): Mean | null => {
      const windowMs = windowFor(count);
      const events = grown(count, windowMs);
      return events < LEAST_EVENTS ? null : { count: events, seconds: grown(sum, windowMs) / events };
    };
    /** The last minute if it has enough events. */
    const windowFor = (count: Key) => (grown(count, MINUTE_MS) >= LEAST_EVENTS ? MINUTE_MS : LONG_MS);
    const errorsIn = (windowMs: number) =>
      Object.fromEntries(ERROR_TYPES.map((type) => [type, grown(series('shop_errors_total', { type }), windowMs)]));
    const lagOf = (worker: number) => atWorker('nodejs_eventloop_lag_p99_seconds', worker);
    const serving = workers
      .filter(({ state }) => state === 'serving')
      .map(({ worker, startedAt }) => {
        const aliveSeconds = (instant.row.at - Date.parse(startedAt ?? '')) / SECOND_MS;
        /** Values of this process, not of its predecessor. */
        const own = (key: Key, seconds: number, warmUpSeconds = 0) =>
          recent(key, Math.min(seconds, aliveSeconds - warmUpSeconds));
        const heap = atWorker('nodejs_heap_size_used_bytes', worker);
        return {
          worker,
          lags: own(lagOf(worker), 60, WARM_UP_SECONDS),
          age: (seconds: number) => Math.max(0, ...own(workerAge(worker), seconds)),
          heapGrowth: leastIn(own(heap, 10)) - leastIn(own(heap, LONG_MS / SECOND_MS, HEAP_WARM_UP_SECONDS)),
        };
      });
    const routes = findSeries('http_request_duration_seconds_count').flatMap(({ labels }) => labels.route ?? []);
    const allRoutes = [...new Set(routes)];
    const pageRoutes = allRoutes.filter(isPage);
    const pages = countIn(instant, duration());
    const p95Of = (route: string) => histogramQuantile(0.95, countIn(instant, duration(route))) ?? 0;
    const checkout = meanOf(CHECKOUT_SUM, CHECKOUT_COUNT);
    const checkoutWindow = windowFor(CHECKOUT_COUNT);
    const newlyFailed = (method: string) => grown(payments(method, 'failed'), MINUTE_MS);
    const paymentsWindow = newlyFailed('card') >= LEAST_EVENTS ? MINUTE_MS : LONG_MS;
    const paymentsBy = (outcome: string) => grown(payments('card', outcome), paymentsWindow);
    const meanIn = (key: Key, seconds: number) => meanValue(recent(key, seconds)) ?? 0;
    const coresOfShop =
      meanIn('shop_db_connections{state="active"}', 10) +
      [...serving.map(({ worker }) => String(worker)), 'primary'].reduce((sum, name) => sum + meanIn(cpu(name), 10), 0);
    const open = known('shop_db_server_connections');
    const max = known('shop_db_server_connections_max');
    const up = known('shop_db_up');

    return {
      workers,
      people: known('shop_active_sessions'),
      databaseUp: up === null ? null : up === 1,
      databaseDiskFull: known('shop_db_disk_full') === 1,
      operations: findSeries('shop_db_operation_duration_seconds_count')
        .flatMap(({ key, labels }) => {
          const mean = meanOf(key.replace('_count', '_sum'), key);
          return mean ? [{ ...mean, operation: labels.operation ?? '', table: labels.table ?? '' }] : [];
        })
        .sort(bySeconds),
      waiting: leastOf('shop_db_connections{state="pending"}', 5),
      serverConnections: open === null || max === null ? null : { open, max },
      catalogueAgeSeconds: known('shop_catalogue_age_seconds'),
      checkout: checkout && {
        ...checkout,
        spent: sharesOf(SPENT, (spent) => grown(requestTime(spent, CHECKOUT), checkoutWindow)),
      },
      payment: meanOf(
        'shop_checkout_phase_duration_seconds_sum{phase="payment"}',
        'shop_checkout_phase_duration_seconds_count{phase="payment"}',
      ),
      payments: {
        failed: paymentsBy('failed'),
        all: PAYMENT_OUTCOMES.card.reduce((sum, outcome) => sum + paymentsBy(outcome), 0),
      },
      newFailedPayments: PAYMENT_METHODS.reduce((sum, method) => sum + newlyFailed(method), 0),
      unsettledPayments: leastOf('shop_payments_unsettled', 30),
      codeTimes: pageRoutes
        .flatMap((route) => {
          // Showing the checkout costs little, and would hide what submitting it costs.
          const mean = meanOf(requestTime('app', route), route === CHECKOUT ? CHECKOUT_COUNT : requests(route));
          return mean ? [{ ...mean, route }] : [];
        })
        .sort(bySeconds),
      pages: {
        count: pages.at(-1) ?? 0,
        p50: histogramQuantile(0.5, pages),
        p95: histogramQuantile(0.95, pages),
      },
      slowestRoute: greatest(pageRoutes, p95Of),
      errors: errorsIn(LONG_MS),
      newErrors: errorsIn(MINUTE_MS),
      failingRoute: greatest(allRoutes, (route) =>
        FAILURES.reduce((sum, type) => sum + grown(failures(route, type)), 0),
      ),
      faultyRoute: greatest(allRoutes, (route) => grown(failures(route, 'internal'))),
      restarts: Object.fromEntries(
        findSeries('shop_worker_restarts_total').map(({ key, labels }) => [labels.reason ?? '', grown(key)]),
      ),
      lags: serving.map(({ worker }) => ({ worker, seconds: median(recent(lagOf(worker), 10)) })).sort(bySeconds),
      peakLagSeconds: Math.max(0, ...serving.flatMap(({ lags }) => lags)),
      ages: serving.map(({ worker, age }) => ({ worker, seconds: age(10) })).sort(bySeconds),
      peakAgeSeconds: Math.max(0, ...serving.map(({ age }) => age(60))),
      heapGrowths: serving
        .map(({ worker, heapGrowth }) => ({ worker, bytes: heapGrowth }))
        .filter(({ bytes }) => Number.isFinite(bytes))
        .sort((a, b) => b.bytes - a.bytes),
      hostCpu: meanValue(recent('shop_host_cpu_usage_ratio', 5)),
      cores,
      othersCpu: Math.max(0, meanIn('shop_host_cpu_usage_ratio', 10) - coresOfShop / cores),
      workerCpu: serving.map(({ worker }) => meanIn(cpu(String(worker)), 5)),
      requestRate: grown(requests(), 10 * SECOND_MS) / 10,
      visits: {
        withoutCookie: grown('shop_visits_without_cookie_total'),
        all: pages.at(-1) ?? 0,
      },
    };
  };
}

interface FoundSeries {
  readonly key: Key;
  readonly labels: Labels;
}

/** The columns of a metric that are series. They are looked for again when the history has new columns. */
function createSeriesFinder(history: History): (metric: string) => readonly FoundSeries[] {
  let columns = 0;
  let byMetric = new Map<string, FoundSeries[]>();
  return function findSeries(metric) {
    if (columns !== history.columns.size) {
      columns = history.columns.size;
      byMetric = new Map();
      for (const key of history.columns.keys()) {
        const found = parseSeries(key);
        if (!found) continue;
        const series = byMetric.get(found.metric) ?? [];
        series.push({ key, labels: found.labels });
        byMetric.set(found.metric, series);
      }
    }
    return byMetric.get(metric) ?? [];
  };
}

function bySeconds(a: { readonly seconds: number }, b: { readonly seconds: number }): number {
  return b.seconds - a.seconds;
}

function sharesOf<Part extends string>(parts: readonly Part[], measure: (part: Part) => number): Record<Part, number> {
  const values = parts.map(measure);
  const whole = values.reduce((sum, value) => sum + value, 0);
  return Object.fromEntries(parts.map((part, i) => [part, whole > 0 ? (values[i] as number) / whole : 0])) as Record<
    Part,
    number
  >;
}

/** The name with the greatest number above 0; empty for none. */
function greatest(names: readonly string[], measure: (name: string) => number): string {
  let [found, most] = ['', 0];
  for (const name of names) {
    const value = measure(name);
    if (value > most) [found, most] = [name, value];
  }
  return found;
}

/** 0 of too few. */
function median(values: readonly number[]): number {
  return values.length < LEAST_ROWS ? 0 : ([...values].sort((a, b) => a - b)[values.length >> 1] as number);
}

/** Infinite of none. */
function leastIn(values: readonly number[]): number {
  return Math.min(...values);
}

function meanValue(values: readonly number[]): number | null {
  return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
}
