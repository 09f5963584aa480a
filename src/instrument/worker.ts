import { Counter, Gauge, Histogram, Summary, type WorkerRegistry } from '@techcommerce/cluster-metrics';
import { DURATION_BUCKETS_SECONDS, SIZE_BUCKETS_BYTES } from './buckets.ts';
import { errorCounter } from './errors.ts';
import { CHECKOUT_PHASES, ERROR_TYPES, ORDER_OUTCOMES, POOL_STATES, type WorkerMetrics } from './metrics.ts';
import { SHOP_OPERATIONS } from './operations.ts';
import { orderCounter } from './orders.ts';
import { cpuUsageGauge } from './process.ts';
import { SPENT } from './request-clock.ts';
import { type MeasuredRoute, UNMATCHED } from './routes.ts';

export interface WorkerMetricsOptions {
  /** Label of this process: its place number. */
  worker: string;
  /** Slugs of the catalogue. */
  products: readonly string[];
  routes: readonly MeasuredRoute[];
  /** Connections that this worker's pool may hold. */
  poolMax: number;
}

const QUANTILES = [0.5, 0.9, 0.95, 0.99];
/** The window moves in sixtieths of its length, at a look once a second, so it holds up to 6 seconds more. */
const QUANTILE_WINDOW_SECONDS = 5 * 60;

/** Makes every metric of a worker, with each series whose labels are known beforehand at 0. */
export function createWorkerMetrics(registry: WorkerRegistry, options: WorkerMetricsOptions): WorkerMetrics {
  const metrics = defineMetrics(registry);
  declareSeries(metrics, options);
  return metrics;
}

function defineMetrics(registry: WorkerRegistry): WorkerMetrics {
  const registers = [registry];
  return {
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
    productViews: new Counter({
      name: 'shop_product_views_total',
      help: 'Product pages shown, by the slug of the product',
      labelNames: ['product'],
      registers,
    }),
    orders: orderCounter(registry),
    orderValueBrl: new Counter({
      name: 'shop_order_value_brl_total',
      help: 'Value of the paid orders in Brazilian reais, shipping included',
      registers,
    }),
    unitsSold: new Counter({
      name: 'shop_units_sold_total',
      help: 'Units of a product in paid orders',
      labelNames: ['product'],
      registers,
    }),
    errors: errorCounter(registry),
    checkoutPhaseDuration: new Histogram({
      name: 'shop_checkout_phase_duration_seconds',
      help: 'Seconds that each phase of a checkout took',
      labelNames: ['phase'],
      buckets: DURATION_BUCKETS_SECONDS,
      registers,
    }),
    requestTime: new Counter({
      name: 'shop_request_time_seconds_total',
      help: 'Seconds that requests took, split by what they were spent on: app (own code), db (queries), db_wait (waiting for a pool connection), payment; the parts add up to the whole',
      labelNames: ['route', 'spent'],
      registers,
    }),
    httpRequestDuration: new Histogram({
      name: 'http_request_duration_seconds',
      help: 'Seconds from the arrival of a request until its response is ready to be sent, by route template; status 499 when the client hung up, or was cut, first',
      labelNames: ['method', 'route', 'status_code'],
      buckets: DURATION_BUCKETS_SECONDS,
      registers,
    }),
    httpResponseSize: new Histogram({
      name: 'http_response_size_bytes',
      help: 'Bytes of response bodies as sent, after compression, by route template',
      labelNames: ['method', 'route', 'status_code'],
      buckets: SIZE_BUCKETS_BYTES,
      registers,
    }),
    httpRequestsInFlight: new Gauge({
      name: 'http_requests_in_flight',
      help: 'Requests being worked on, over all workers',
      aggregator: 'sum',
      lazy: true,
      registers,
    }),
    dbOperationDuration: new Summary({
      name: 'shop_db_operation_duration_seconds',
      help: 'Seconds that database operations took as the shop saw it, failed ones included; quantiles over the last 5 minutes, up to 6 seconds more',
      labelNames: ['operation', 'table'],
      percentiles: QUANTILES,
      maxAgeSeconds: QUANTILE_WINDOW_SECONDS,
      // A request has several, and is itself written before it is answered.
      lazy: true,
      registers,
    }),
    dbConnections: new Gauge({
      name: 'shop_db_connections',
      help: "Database connections of the workers' pools, summed: active (in use), idle, pending (requests for a connection that wait)",
      labelNames: ['state'],
      aggregator: 'sum',
      registers,
    }),
    dbConnectionsMax: new Gauge({
      name: 'shop_db_connections_max',
      help: "Database connections that the workers' pools may hold, summed",
      aggregator: 'sum',
      registers,
    }),
    dbDiskFull: new Gauge({
      name: 'shop_db_disk_full',
      help: 'Whether PostgreSQL has refused a write for want of disk space in the last 15 seconds, in any worker: 1 or 0',
      aggregator: 'max',
      registers,
    }),
    cpuUsage: cpuUsageGauge(registry),
    flush: () => registry.store.flush(),
  };
}

function declareSeries(metrics: WorkerMetrics, { worker, products, routes, poolMax }: WorkerMetricsOptions): void {
  for (const product of products) {
    metrics.cartAdditions.zero({ product });
    metrics.cartUnitsAdded.zero({ product });
    metrics.productViews.zero({ product });
    metrics.unitsSold.zero({ product });
  }
  for (const outcome of ORDER_OUTCOMES) metrics.orders.zero({ outcome });
  for (const phase of CHECKOUT_PHASES) metrics.checkoutPhaseDuration.zero({ phase });
  for (const route of new Set([...routes.map(({ route }) => route), UNMATCHED])) {
    for (const type of ERROR_TYPES) if (type !== 'worker_crash') metrics.errors.zero({ type, route });
    for (const spent of SPENT) metrics.requestTime.zero({ route, spent });
  }
  for (const { method, route, statuses } of routes) {
    for (const status of statuses) {
      const labels = { method, route, status_code: String(status) };
      metrics.httpRequestDuration.zero(labels);
      metrics.httpResponseSize.zero(labels);
    }
  }
  for (const operation of SHOP_OPERATIONS) metrics.dbOperationDuration.zero(operation);
  for (const state of POOL_STATES) metrics.dbConnections.set({ state }, 0);
  metrics.dbConnectionsMax.set(poolMax);
  metrics.dbDiskFull.set(0);
  metrics.cpuUsage.set({ worker }, 0);
}
