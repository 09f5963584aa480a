import { Counter, Gauge, Histogram, Summary, type WorkerRegistry } from '@techcommerce/cluster-metrics';
import { NO_TABLE, type QueryLabels } from '../db/query-labels.ts';
import { cpuUsageGauge } from './process.ts';
import { SPENT } from './request-clock.ts';

/** Every value of the label `type` of `shop_errors_total`. */
export const ERROR_TYPES = [
  'validation',
  'not_found',
  'conflict',
  'forbidden',
  'payment_declined',
  'rate_limited',
  'overload',
  'database',
  'internal',
  'worker_crash',
] as const;
export type ErrorType = (typeof ERROR_TYPES)[number];

/** How an attempt to order ended, label `outcome` of `shop_orders_total`. */
export const ORDER_OUTCOMES = ['paid', 'declined', 'out_of_stock', 'failed'] as const;

/** The steps of a checkout in their order, label `phase` of `shop_checkout_phase_duration_seconds`. */
export const CHECKOUT_PHASES = ['validate', 'reserve', 'payment', 'commit'] as const;
export type CheckoutPhase = (typeof CHECKOUT_PHASES)[number];

/** Label `state` of `shop_db_connections`. */
const POOL_STATES = ['active', 'idle', 'pending'] as const;

/** Tables of the shop's queries, by operation. A query that is missing here gets its series when it first runs. */
const SHOP_TABLES: Record<string, readonly string[]> = {
  select: ['sessions', 'categories', 'products', 'carts', 'orders', 'order_items', NO_TABLE],
  insert: ['rate_limits', 'sessions', 'cart_items', 'orders', 'payments'],
  update: ['cart_items', 'payments'],
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
const DURATION_BUCKETS_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];

/** Bytes: powers of four, from a redirect to a large picture. */
const SIZE_BUCKETS_BYTES = [256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576];

const QUANTILES = [0.5, 0.9, 0.95, 0.99];
/** The window moves in sixtieths of its length, once a second at most, so it holds up to 6 seconds more. */
const QUANTILE_WINDOW_SECONDS = 5 * 60;

export interface WorkerMetricsOptions {
  /** Label of this process: its place number. */
  worker: string;
  /** Slugs of the catalogue. */
  products: readonly string[];
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
export function createWorkerMetrics(
  registry: WorkerRegistry,
  { worker, products, routes, poolMax }: WorkerMetricsOptions,
) {
  const registers = [registry];
  const byProduct = products.map((product) => ({ product }));
  const byAnswer = routes.flatMap(({ method, route, statuses }) =>
    statuses.map((status) => ({ method, route, status_code: String(status) })),
  );
  const templates = [...new Set([...routes.map(({ route }) => route), UNMATCHED])];

  return {
    cartAdditions: atZero(
      new Counter({
        name: 'shop_cart_additions_total',
        help: 'Successful add-to-cart actions, by the slug of the product',
        labelNames: ['product'],
        registers,
      }),
      byProduct,
    ),
    cartUnitsAdded: atZero(
      new Counter({
        name: 'shop_cart_units_added_total',
        help: 'Units of a product that add-to-cart actions put into carts',
        labelNames: ['product'],
        registers,
      }),
      byProduct,
    ),
    productViews: atZero(
      new Counter({
        name: 'shop_product_views_total',
        help: 'Product pages shown, by the slug of the product',
        labelNames: ['product'],
        registers,
      }),
      byProduct,
    ),
    orders: atZero(
      orderCounter(registry),
      ORDER_OUTCOMES.map((outcome) => ({ outcome })),
    ),
    orderValueBrl: new Counter({
      name: 'shop_order_value_brl_total',
      help: 'Value of the paid orders in Brazilian reais, shipping included',
      registers,
    }),
    unitsSold: atZero(
      new Counter({
        name: 'shop_units_sold_total',
        help: 'Units of a product in paid orders',
        labelNames: ['product'],
        registers,
      }),
      byProduct,
    ),
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
        registers,
      }),
      CHECKOUT_PHASES.map((phase) => ({ phase })),
    ),
    requestTime: atZero(
      new Counter({
        name: 'shop_request_time_seconds_total',
        help: 'Seconds that requests took, split by what they were spent on: app (own code), db (queries), db_wait (waiting for a pool connection), payment; the parts add up to the whole',
        labelNames: ['route', 'spent'],
        registers,
      }),
      templates.flatMap((route) => SPENT.map((spent) => ({ route, spent }))),
    ),
    httpRequestDuration: atZero(
      new Histogram({
        name: 'http_request_duration_seconds',
        help: 'Seconds from the arrival of a request until its response is ready to be sent, by route template; status 499 when the client hung up, or was cut, first',
        labelNames: ['method', 'route', 'status_code'],
        buckets: DURATION_BUCKETS_SECONDS,
        registers,
      }),
      byAnswer,
    ),
    httpResponseSize: atZero(
      new Histogram({
        name: 'http_response_size_bytes',
        help: 'Bytes of response bodies as sent, after compression, by route template',
        labelNames: ['method', 'route', 'status_code'],
        buckets: SIZE_BUCKETS_BYTES,
        registers,
      }),
      byAnswer,
    ),
    httpRequestsInFlight: new Gauge({
      name: 'http_requests_in_flight',
      help: 'Requests in flight, over all workers',
      aggregator: 'sum',
      lazy: true,
      registers,
    }),
    dbOperationDuration: atZero(
      new Summary({
        name: 'shop_db_operation_duration_seconds',
        help: 'Seconds that database operations took, measured by the shop, failed ones included; quantiles over the last 5 minutes, up to 6 seconds more',
        labelNames: ['operation', 'table'],
        percentiles: QUANTILES,
        maxAgeSeconds: QUANTILE_WINDOW_SECONDS,
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
    cpuUsage: atZero(cpuUsageGauge(registry), [{ worker }]),
    /**
     * Writes what was counted to the store at once, where it outlives this process; otherwise that happens at the end
     * of the turn.
     */
    flush: () => registry.store.flush(),
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
