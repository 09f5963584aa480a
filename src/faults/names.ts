/** The faults that can be rehearsed, in the order of the live page. */
export const FAULT_NAMES = [
  'slow_code',
  'blocked_loop',
  'worker_hang',
  'worker_crash',
  'memory_leak',
  'slow_query',
  'row_lock',
  'pool_leak',
  'database_down',
  'slow_payment',
  'payment_errors',
  'busy_machine',
  'bad_release',
  'cart_bug',
] as const;

export type FaultName = (typeof FAULT_NAMES)[number];

/** A fault ends by itself after so many seconds at most. */
export const MOST_SECONDS = 600;

/** The faults that are on, each with the milliseconds until it ends. */
export type FaultsLeft = Readonly<Partial<Record<FaultName, number>>>;

export function isFaultName(name: unknown): name is FaultName {
  return FAULT_NAMES.some((each) => each === name);
}
