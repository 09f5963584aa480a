import type { Counter, Gauge, Histogram, Summary } from '@techcommerce/cluster-metrics';

/** The closed list of what `shop_errors_total` tells apart. */
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

/** How an order attempt ended, label `outcome` of `shop_orders_total`. */
export const ORDER_OUTCOMES = ['paid', 'declined', 'out_of_stock', 'failed'] as const;

/** The steps of a checkout in their order, label `phase` of `shop_checkout_phase_duration_seconds`. */
export const CHECKOUT_PHASES = ['validate', 'reserve', 'payment', 'commit'] as const;
export type CheckoutPhase = (typeof CHECKOUT_PHASES)[number];

/** Of a pool's connections, label `state` of `shop_db_connections`. */
export const POOL_STATES = ['active', 'idle', 'pending'] as const;

/** Every metric that a worker keeps, made once per process by `createWorkerMetrics`. */
export interface WorkerMetrics {
  readonly cartAdditions: Counter<'product'>;
  readonly cartUnitsAdded: Counter<'product'>;
  readonly productViews: Counter<'product'>;
  readonly orders: Counter<'outcome'>;
  readonly orderValueBrl: Counter;
  readonly unitsSold: Counter<'product'>;
  readonly errors: Counter<'type' | 'route'>;
  readonly checkoutPhaseDuration: Histogram<'phase'>;
  readonly requestTime: Counter<'route' | 'spent'>;
  readonly httpRequestDuration: Histogram<'method' | 'route' | 'status_code'>;
  readonly httpResponseSize: Histogram<'method' | 'route' | 'status_code'>;
  readonly httpRequestsInFlight: Gauge;
  readonly dbOperationDuration: Summary<'operation' | 'table'>;
  readonly dbConnections: Gauge<'state'>;
  readonly dbConnectionsMax: Gauge;
  readonly dbDiskFull: Gauge;
  readonly cpuUsage: Gauge<'worker'>;
  /** Puts what was counted where the worker's death can't take it, now; else it happens at the end of the turn. */
  flush(): void;
}
