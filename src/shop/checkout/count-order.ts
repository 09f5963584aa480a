import type { WorkerMetrics } from '../../instrument/metrics.ts';
import type { PlacedOrder } from './place-order.ts';

export const FAILED = { outcome: 'failed' } as const;

/** Counts an attempt to order once it is known how it ended. A repetition and an empty cart are none. */
export function countOrder(
  metrics: Pick<WorkerMetrics, 'orders' | 'orderValueBrl' | 'unitsSold'>,
  placed: PlacedOrder | typeof FAILED,
): void {
  if (placed.outcome === 'repeated' || placed.outcome === 'empty') return;
  metrics.orders.inc({ outcome: placed.outcome });
  if (placed.outcome !== 'paid') return;
  metrics.orderValueBrl.inc(placed.cart.totalCents / 100);
  for (const { product, quantity } of placed.cart.items) metrics.unitsSold.inc({ product: product.slug }, quantity);
}
