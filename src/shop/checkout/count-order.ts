import { ORDER_OUTCOMES, type WorkerMetrics } from '../../instrument/worker-metrics.ts';
import type { PlacedOrder } from './place-order.ts';

export const FAILED = { outcome: 'failed' } as const;

const ATTEMPTS: ReadonlySet<string> = new Set(ORDER_OUTCOMES);

/**
 * Counts an attempt to order once it is known how it ended. A repetition is none, nor is a cart that can't be ordered as
 * it is.
 */
export function countOrder(
  metrics: Pick<WorkerMetrics, 'orders' | 'orderValueBrl' | 'unitsSold'>,
  placed: PlacedOrder | typeof FAILED,
): void {
  if (!ATTEMPTS.has(placed.outcome)) return;
  metrics.orders.inc({ outcome: placed.outcome });
  if (placed.outcome !== 'paid') return;
  metrics.orderValueBrl.inc(placed.cart.totalCents / 100);
  for (const { product, quantity } of placed.cart.items) metrics.unitsSold.inc({ product: product.slug }, quantity);
}
