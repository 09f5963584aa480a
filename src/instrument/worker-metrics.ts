import { Counter, Gauge, Histogram, Summary, type WorkerRegistry } from '@techcommerce/cluster-metrics';
import { NO_TABLE, type QueryLabels } from '../db/query-labels.ts';
import {
  CHECKOUT_PHASES,
  ERROR_TYPES,
  type ErrorType,
  ORDER_OUTCOMES,
  PAYMENT_METHODS,
  PAYMENT_OUTCOMES,
  POOL_STATES,
  SPENT,
} from './label-values.ts';
import { cpuUsageGauge } from './process.ts';

/** Tables of the shop's queries, by operation. A query that is missing here gets its series when it first runs. */
const SHOP_TABLES: Record<string, readonly string[]> = {
  select: ['products', 'order_items', 'carts', 'orders', 'pix_charges', NO_TABLE],
  insert: ['rate_limits', 'sessions', 'cart_items', 'orders', 'payments', 'pix_charges'],
  update: ['cart_items', 'payments', 'pix_charges'],
  lock: ['products'],
  delete: ['cart_items'],
  begin: [NO_TABLE],
  commit: [NO_TABLE],
  rollback: [NO_TABLE],
};
export const SHOP_OPERATIONS: readonly QueryLabels[] = Object.entries(SHOP_TABLES).flatMap(([operation, tables]) =>
  tables.map((table) => ({ operation, table })),
);

/** An address of the shop as its metrics name it. */
export interface MeasuredRoute {
  readonly method: string;
  /** The template, `/detail/:id`. */
  readonly route: string;
  /** Every status that it can answer, label `status_code`. */
  readonly statuses: readonly number[];
}

/** Label `route` of a request that no route answers. */
export const UNMATCHED = 'unmatched';

/**
 * Seconds: OpenTelemetry's advice for `http.server.request.duration`.
 * https://opentelemetry.io/docs/specs/semconv/http/http-metrics/
 */
export const DURATION_BUCKETS_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];

/**
 * Seconds: one list for both ways to pay, as a histogram has one. A card is answered within the page's time; a person
 * takes minutes for a Pix, which expires after 5.
 */
const PAYMENT_BUCKETS_SECONDS = [0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60, 120, 180, 240, 300];

/** Bytes: powers of four, from a redirect to a large picture. */
const SIZE_BUCKETS_BYTES = [256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576];

const QUANTILES = [0.5, 0.9, 0.95, 0.99];
/** The window moves in sixtieths of its length, once a second at most, so it holds up to 6 seconds more. */
const QUANTILE_WINDOW_SECONDS = 5 * 60;

export interface WorkerMetricsOptions {
  /** Label of this process: its place number. */
  worker: string;
  routes: readonly MeasuredRoute[];
  /** Connections that this worker's pool may hold. */
  poolMax: number;
}

/** Every metric that a worker keeps, made once per process. */
export type WorkerMetrics = ReturnType<typeof createWorkerMetrics>;

/**
 * Makes every metric of a worker. To add one, define it here, together with the series whose labels are known
 * beforehand (`atZero`), and call it where it happens: `increase()` and the alerts see a first event only in a series
 * that was there at 0 before it.
 */
export function createWorkerMetrics(registry: WorkerRegistry, { worker, routes, poolMax }: WorkerMetricsOptions) {
  const registers = [registry];
  const templates = [...new Set([...routes.map(({ route }) => route), UNMATCHED])];

  const byProduct = {
    productViews: new Counter({
      name: 'shop_product_views_total',
      help: 'Product pages shown, by the slug of the product',
      labelNames: ['product'],
      // Written before the page is sent, as all that `timeRequests` counts.
      lazy: true,
      registers,
    }),
    cartAdditions: new Counter({
      name: 'shop_cart_additions_total',
      help: 'Successful add-to-cart actions, by the slug of the product',
      labelNames: ['product'],
      registers,
    }),
    cartUnitsAdded: new Counter({
      name: 'shop_cart_units_added_total',
      help: 'Units of a product that add-to-cart actions put into carts',
      labelNames: ['product'],
      registers,
    }),
    unitsSold: new Counter({
      name: 'shop_units_sold_total',
      help: 'Units of a product in paid orders',
      labelNames: ['product'],
      registers,
    }),
  };

  return {
    ...byProduct,
    /** Declares the series of products at 0; a series that has counted keeps its value. */
    declareProducts(slugs: readonly string[]): void {
      for (const counter of Object.values(byProduct)) for (const product of slugs) counter.zero({ product });
    },
    orders: atZero(
      orderCounter(registry),
      ORDER_OUTCOMES.map((outcome) => ({ outcome })),
    ),
    orderValueBrl: new Counter({
      name: 'shop_order_value_brl_total',
      help: 'Value of the paid orders in Brazilian reais, shipping included',
      registers,
    }),
    payments: atZero(paymentCounter(registry), PAYMENT_SERIES),
    paymentDuration: atZero(
      new Histogram({
        name: 'shop_payment_duration_seconds',
        help: 'Seconds that payments took: a card until the provider answered, or the shop stopped waiting; a Pix from its charge until it was paid, has expired or was replaced',
        labelNames: ['method'],
        buckets: PAYMENT_BUCKETS_SECONDS,
        native: true,
        registers,
      }),
      PAYMENT_METHODS.map((method) => ({ method })),
    ),
    visitsWithoutCookie: new Counter({
      name: 'shop_visits_without_cookie_total',
      help: "Requests for pages, and forms, that came without the shop's cookie: the first of each browser, and every one of a program that keeps no cookies",
      // Written before the page is sent, as all that `timeRequests` counts.
      lazy: true,
      registers,
    }),
    errors: atZero(
      errorCounter(registry),
      ERROR_TYPES.filter((type) => type !== 'worker_crash').flatMap((type) =>
        templates.map((route) => ({ type, route })),
      ),
    ),
    checkoutPhaseDuration: atZero(
      new Histogram({
        name: 'shop_checkout_phase_duration_seconds',
        help: 'Seconds that each phase of a checkout took',
        labelNames: ['phase'],
        buckets: DURATION_BUCKETS_SECONDS,
        native: true,
        enableExemplars: true,
        registers,
      }),
      CHECKOUT_PHASES.map((phase) => ({ phase })),
    ),
    dbOperationDuration: atZero(
      new Summary({
        name: 'shop_db_operation_duration_seconds',
        help: 'Seconds that database operations took, measured by the shop, failed ones included; quantiles over the last 5 minutes, up to 6 seconds more',
        labelNames: ['operation', 'table'],
        percentiles: QUANTILES,
        maxAgeSeconds: QUANTILE_WINDOW_SECONDS,
        // Can be added up over instances, which quantiles can't.
        nativeHistogram: 'shop_db_operation_duration_histogram_seconds',
        // A request has several, and is itself written before it is answered.
        lazy: true,
        registers,
      }),
      SHOP_OPERATIONS,
    ),
    dbConnections: atZero(
      new Gauge({
        name: 'shop_db_connections',
        help: "Database connections of the workers' pools, summed: active (in use), idle, pending (requests for a connection that wait)",
        labelNames: ['state'],
        aggregator: 'sum',
        registers,
      }),
      POOL_STATES.map((state) => ({ state })),
    ),
    dbConnectionsMax: withValue(
      new Gauge({
        name: 'shop_db_connections_max',
        help: "Database connections that the workers' pools may hold, summed",
        aggregator: 'sum',
        registers,
      }),
      poolMax,
    ),
    dbDiskFull: new Gauge({
      name: 'shop_db_disk_full',
      help: 'Whether PostgreSQL has refused a write for lack of disk space in the last 15 seconds, in any worker: 1 or 0',
      aggregator: 'max',
      registers,
    }),
    catalogueAge: new Gauge({
      name: 'shop_catalogue_age_seconds',
      help: 'Seconds since a worker last compared its catalogue with the database, or since its start if it never could; the highest of all workers',
      aggregator: 'max',
      registers,
    }),
    cpuUsage: atZero(cpuUsageGauge(registry), [{ worker }]),
    ...createRequestMetrics(registry, templates, routes),
    /**
     * Writes the counts to the store at once, where it outlives this process; otherwise that happens at the end
     * of the turn.
     */
    flush: () => registry.store.flush(),
  };
}

/**
 * Makes the metrics of every request. They are lazy, since `timeRequests` writes them before each answer. All series of a
 * route lie side by side in the store, so that this write is one system call. The pages' come last: the views of products,
 * which a page changes too, are declared next.
 *
 * @param templates label `route` of all requests
 */
function createRequestMetrics(
  registry: WorkerRegistry,
  templates: readonly string[],
  routes: readonly MeasuredRoute[],
) {
  const common = { lazy: true, registers: [registry] };
  const requestTime = new Counter({
    ...common,
    name: 'shop_request_time_seconds_total',
    help: 'Seconds that requests took, split by what they were spent on: app (own code), db (queries, and the line for a shared statement), db_wait (waiting for a pool connection), payment; the parts add up to the whole',
    labelNames: ['route', 'spent'],
  });
  const httpRequestDuration = new Histogram({
    ...common,
    name: 'http_request_duration_seconds',
    help: 'Seconds from the arrival of a request until its response is ready to be sent, by route template; status 499 when the client hung up, or was cut, first',
    labelNames: ['method', 'route', 'status_code'],
    buckets: DURATION_BUCKETS_SECONDS,
    native: true,
    enableExemplars: true,
  });
  const httpResponseSize = new Histogram({
    ...common,
    name: 'http_response_size_bytes',
    help: 'Bytes of response bodies as sent, after compression, by route template',
    labelNames: ['method', 'route', 'status_code'],
    buckets: SIZE_BUCKETS_BYTES,
    native: true,
  });
  for (const template of templates.toReversed()) {
    for (const spent of SPENT) requestTime.zero({ route: template, spent });
    for (const { method, route, statuses } of routes.filter((each) => each.route === template)) {
      for (const status of statuses) {
        const labels = { method, route, status_code: status };
        httpRequestDuration.zero(labels);
        httpResponseSize.zero(labels);
      }
    }
  }
  /** Requests that have arrived and are not ready to be answered. */
  const inFlight = { requests: 0 };
  return {
    requestTime,
    httpRequestDuration,
    httpResponseSize,
    inFlight,
    httpRequestsInFlight: new Gauge({
      name: 'http_requests_in_flight',
      help: 'Requests in flight, over all workers',
      aggregator: 'sum',
      // Twice a second, instead of two changes for each request.
      collect() {
        this.set(inFlight.requests);
      },
      registers: [registry],
    }),
  };
}

/** Workers count the errors of their requests, the primary counts crashes: one definition, so that the two merge. */
export function errorCounter(registry: WorkerRegistry): Counter<'type' | 'route'> {
  return new Counter({
    name: 'shop_errors_total',
    help: 'Errors, each counted once, by type and by the template of the route that answered it; a crashed worker has the route none',
    labelNames: ['type', 'route'],
    registers: [registry],
  });
}

/**
 * Workers count their own attempts to order, the primary counts those of workers that died: one definition, so that the
 * two merge.
 */
export function orderCounter(registry: WorkerRegistry): Counter<'outcome'> {
  return new Counter({
    name: 'shop_orders_total',
    help: 'Attempts to order, by how they ended; an attempt whose worker died is failed once its payment is settled',
    labelNames: ['outcome'],
    registers: [registry],
  });
}

const PAYMENT_SERIES = PAYMENT_METHODS.flatMap((method) =>
  PAYMENT_OUTCOMES[method].map((outcome) => ({ method, outcome })),
);

/** As {@link orderCounter}, for the payments of these attempts. */
export function paymentCounter(registry: WorkerRegistry): Counter<'method' | 'outcome'> {
  return new Counter({
    name: 'shop_payments_total',
    help: 'Payments that were begun, by how they ended: approved (has its order), declined, cancelled (given back or replaced, without an order), expired (a Pix that was not paid in time), failed (no answer from the provider, or the worker died)',
    labelNames: ['method', 'outcome'],
    registers: [registry],
  });
}

/**
 * Counts an error; called once for each, where it becomes an answer.
 *
 * @param route template of the route, or `unmatched`
 */
export function countError(metrics: Pick<WorkerMetrics, 'errors'>, route: string, type: ErrorType): void {
  metrics.errors.inc({ type, route });
}

/** Declares series at 0. */
function atZero<Labels, Metric extends { zero(labels: Labels): void }>(
  metric: Metric,
  series: readonly Labels[],
): Metric {
  for (const labels of series) metric.zero(labels);
  return metric;
}

function withValue(gauge: Gauge, value: number): Gauge {
  gauge.set(value);
  return gauge;
}
