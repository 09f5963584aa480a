/*
 * The closed lists of label values that both the metrics and the live page know. The browser loads this file too, so it
 * imports nothing.
 */

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

/** How a payment ended, label `outcome` of `shop_payments_total`, by its label `method`. */
export const PAYMENT_OUTCOMES = {
  card: ['approved', 'declined', 'cancelled', 'failed'],
  pix: ['approved', 'expired', 'cancelled', 'failed'],
} as const;
export type PaymentMethod = keyof typeof PAYMENT_OUTCOMES;
export type PaymentOutcome = (typeof PAYMENT_OUTCOMES)[PaymentMethod][number];
export const PAYMENT_METHODS = Object.keys(PAYMENT_OUTCOMES) as PaymentMethod[];

/** The steps of a checkout in their order, label `phase` of `shop_checkout_phase_duration_seconds`. */
export const CHECKOUT_PHASES = ['validate', 'reserve', 'payment', 'commit'] as const;
export type CheckoutPhase = (typeof CHECKOUT_PHASES)[number];

/** Where a request's time goes, label `spent` of `shop_request_time_seconds_total`. */
export const SPENT = ['app', 'db', 'db_wait', 'payment'] as const;
export type Spent = (typeof SPENT)[number];

/** Label `state` of `shop_db_connections`. */
export const POOL_STATES = ['active', 'idle', 'pending'] as const;

/** Why a worker was replaced, label `reason` of `shop_worker_restarts_total`. */
export const RESTART_REASONS = [
  'exit',
  'exception',
  'out_of_memory',
  'signal',
  'hang',
  'failed_start',
  'reload',
] as const;
export type RestartReason = (typeof RESTART_REASONS)[number];
