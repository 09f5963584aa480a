import { FAULT_NAMES, type FaultName } from '../../src/faults/names.ts';
import type { Lamp, LampName } from '../../src/ops/live/model.ts';
import type { RuleName } from '../../src/ops/live/rule-texts.ts';

/*
 * The answer key of the rehearsed faults: what shows each of them, and what does not. docs/game-days.md is made of it,
 * test/unit/answer-key.test.ts compares the two, and test/long/answer-key.test.ts sees it happen.
 */

/** The shoppers with whom the key was measured. */
export const SHOPPERS = { shoppers: 60, thinkSeconds: 2 };

const mean = (sum: string, count: string) => `sum(rate(${sum}[15s])) / sum(rate(${count}[15s]))`;
const grew = (counter: string) => `sum(increase(${counter}[15s])) > 0`;
const SUBMITS = 'http_request_duration_seconds_count{method="POST",route="/checkout"}';
const spentAtCheckout = (spent: string) =>
  mean(`shop_request_time_seconds_total{route="/checkout",spent="${spent}"}`, SUBMITS);
const CARTS = '{operation="select",table="carts"}';

/** What can move, as PromQL that has a value only while it does. */
export const SIGNALS = {
  /** The shop's own code takes long for a submit of the checkout. */
  checkout_code: `${spentAtCheckout('app')} > 0.15`,
  /** The database takes long for a submit of the checkout. */
  checkout_db: `${spentAtCheckout('db')} > 0.15`,
  /** Pages of all kinds together take long on average. */
  pages: `${mean('http_request_duration_seconds_sum{method="GET"}', 'http_request_duration_seconds_count{method="GET"}')} > 0.1`,
  /** A worker writes no metrics. */
  silence: 'max(shop_metrics_worker_age_seconds) > 2.5',
  hang: grew('shop_worker_restarts_total{reason="hang"}'),
  crash: grew('shop_worker_restarts_total{reason="exception"}'),
  /** The least heap of 15 seconds, so that garbage counts little. */
  heap: 'min_over_time(nodejs_heap_size_used_bytes[15s]) - min_over_time(nodejs_heap_size_used_bytes[2m]) > 40e6',
  /** Reading a cart takes long. */
  cart_query: `${mean(`shop_db_operation_duration_seconds_sum${CARTS}`, `shop_db_operation_duration_seconds_count${CARTS}`)} > 0.1`,
  locks: 'max(min_over_time(shop_db_server_waiting_locks[3s])) > 0',
  /** All connections of the workers are taken. */
  pool: 'sum(min_over_time(shop_db_connections{state="active"}[5s])) >= sum(shop_db_connections_max)',
  database_down: 'max(shop_db_up) == 0',
  database_errors: grew('shop_errors_total{type="database"}'),
  payment_time: `${mean('shop_checkout_phase_duration_seconds_sum{phase="payment"}', 'shop_checkout_phase_duration_seconds_count{phase="payment"}')} > 0.5`,
  payment_failures: grew('shop_payments_total{outcome="failed"}'),
  cpu: 'avg_over_time(shop_host_cpu_usage_ratio[10s]) > 0.95',
  /** Of the shop's own processes, in cores. */
  shop_cpu: 'sum(avg_over_time(shop_cpu_usage_ratio[10s])) > 0.5',
  list_errors: grew('shop_errors_total{type="internal",route="/shop"}'),
  cart_errors: grew('shop_errors_total{type="internal",route="/add_to_cart/:id"}'),
  other_errors: grew('shop_errors_total{type="internal",route!~"/shop|/add_to_cart/:id"}'),
} as const;
export type SignalName = keyof typeof SIGNALS;

/** What shows a fault. What is in no list stays as it is. */
export interface Answer {
  readonly fault: FaultName;
  /** The lamp of the live page that is lit, by its rule and by what it blames; all others are dark. */
  readonly lamp: LampName;
  readonly rule: RuleName;
  /** As the page shows it; empty where it is not the same each time. */
  readonly blame: string;
  /** A lamp, as `rule blame`, that can be lit for a moment before or between. */
  readonly mayShow: readonly string[];
  readonly moves: readonly SignalName[];
  /** A consequence that comes with enough traffic or on a slow machine. */
  readonly mayMove: readonly SignalName[];
  /** Within the 10 minutes that a fault may last. */
  readonly alerts: readonly string[];
  readonly mayAlert: readonly string[];
}

const QUIET = { mayShow: [], moves: [], mayMove: [], alerts: [], mayAlert: [] } as const;

/** What can move when event loops are late. */
const LATE_LOOP: readonly SignalName[] = [
  'checkout_code',
  'checkout_db',
  'pages',
  'cart_query',
  'database_errors',
  'payment_time',
  'payment_failures',
];

/** By fault, in the order of the live page. */
const KEY: Readonly<Record<FaultName, Omit<Answer, 'fault'>>> = {
  slow_code: {
    ...QUIET,
    lamp: 'code',
    rule: 'code_slow',
    blame: '/checkout',
    moves: ['checkout_code'],
    mayMove: ['shop_cpu'],
  },
  blocked_loop: {
    ...QUIET,
    lamp: 'code',
    rule: 'code_blocked',
    blame: '1',
    moves: ['silence'],
    // Pages and queries that wait for the loop take as long as the block.
    mayMove: [...LATE_LOOP, 'shop_cpu'],
    mayAlert: ['ShopWorkerStale', 'ShopEventLoopBlocked', 'ShopPoolExhausted'],
  },
  worker_hang: {
    ...QUIET,
    lamp: 'code',
    rule: 'code_crash',
    blame: 'hang',
    // Until the first worker is taken out, after 10 s, it is no more than a block.
    mayShow: ['code_blocked 1'],
    moves: ['silence', 'hang'],
    mayMove: [...LATE_LOOP, 'shop_cpu'],
    alerts: ['ShopWorkerStale', 'ShopWorkersRestart'],
    mayAlert: ['ShopWorkersMissing', 'ShopEventLoopBlocked'],
  },
  worker_crash: {
    ...QUIET,
    lamp: 'code',
    rule: 'code_crash',
    blame: 'exception',
    moves: ['crash'],
    // The start of each next worker takes a core for a second.
    mayMove: ['payment_failures', 'shop_cpu'],
    alerts: ['ShopWorkersRestart', 'ShopWorkersMissing'],
  },
  memory_leak: { ...QUIET, lamp: 'code', rule: 'code_memory', blame: '', moves: ['heap'] },
  slow_query: {
    ...QUIET,
    lamp: 'database',
    rule: 'db_slow',
    blame: 'select carts',
    moves: ['cart_query'],
    mayMove: ['database_errors', 'pool', 'cpu', 'checkout_code', 'checkout_db', 'pages'],
    mayAlert: ['ShopSlowPages', 'ShopServerErrors', 'ShopPoolExhausted'],
  },
  row_lock: {
    ...QUIET,
    lamp: 'database',
    rule: 'db_slow',
    blame: 'lock products',
    moves: ['locks', 'database_errors', 'checkout_db'],
    mayMove: ['payment_failures'],
    alerts: ['ShopCheckoutFailing', 'ShopDatabaseLocks'],
    mayAlert: ['ShopCheckoutSlow', 'ShopServerErrors', 'ShopPaymentsUnsettled'],
  },
  pool_leak: {
    ...QUIET,
    lamp: 'database',
    rule: 'db_pool',
    blame: '',
    // The first pages fail before requests have waited for 5 s. It is the same lamp.
    mayShow: ['db_errors '],
    moves: ['pool', 'database_errors'],
    mayMove: ['pages'],
    alerts: ['ShopCatalogueStale', 'ShopCheckoutFailing', 'ShopPoolExhausted', 'ShopServerErrors'],
    mayAlert: ['ShopCheckoutSlow'],
  },
  database_down: {
    ...QUIET,
    lamp: 'database',
    rule: 'db_down',
    blame: '',
    moves: ['database_down', 'database_errors'],
    mayMove: ['payment_failures'],
    alerts: ['ShopDatabaseDown', 'ShopDatabaseUnreachable', 'ShopCatalogueStale', 'ShopServerErrors'],
    mayAlert: ['ShopCheckoutFailing', 'ShopPoolExhausted'],
  },
  slow_payment: {
    ...QUIET,
    lamp: 'payment',
    rule: 'payment_slow',
    blame: '',
    moves: ['payment_time'],
    // The shop waits for a second at most.
    mayMove: ['payment_failures', 'cpu'],
    mayAlert: ['ShopCheckoutSlow'],
  },
  payment_errors: {
    ...QUIET,
    lamp: 'payment',
    rule: 'payment_failing',
    blame: '',
    moves: ['payment_failures'],
    alerts: ['ShopCheckoutFailing'],
    mayAlert: ['ShopServerErrors', 'ShopPaymentsUnsettled'],
  },
  busy_machine: {
    ...QUIET,
    lamp: 'machine',
    rule: 'machine_cpu',
    blame: '',
    moves: ['cpu'],
    mayMove: [...LATE_LOOP, 'silence'],
    mayAlert: ['ShopEventLoopBlocked', 'ShopWorkerStale', 'ShopSlowPages', 'ShopCheckoutSlow'],
  },
  bad_release: {
    ...QUIET,
    lamp: 'code',
    rule: 'code_errors',
    blame: '/shop',
    moves: ['list_errors'],
    mayAlert: ['ShopServerErrors'],
  },
  cart_bug: {
    ...QUIET,
    lamp: 'code',
    rule: 'code_errors',
    blame: '/add_to_cart/:id',
    moves: ['cart_errors'],
    mayAlert: ['ShopServerErrors'],
  },
};

export const ANSWERS: readonly Answer[] = FAULT_NAMES.map((fault) => ({ fault, ...KEY[fault] }));

/** Whether this is the lamp of the answer, with its rule and what it blames. */
export function isAnswered({ lamp, rule, blame }: Answer, shown: Lamp): boolean {
  return shown.name === lamp && shown.rule === rule && (blame === '' || shown.blame === blame);
}
