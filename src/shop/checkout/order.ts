import { randomBytes } from 'node:crypto';
import { ORDER_OUTCOMES, type WorkerMetrics } from '../../instrument/worker-metrics.ts';
import type { PlacedOrder } from './place-order.ts';

/** RFC 4648, section 6. */
const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const LENGTH = 16;

export const ORDER_NUMBER = new RegExp(`^FS-[${BASE32}]{${LENGTH}}$`);

/** A number that nobody guesses: 80 random bits. */
export function newOrderNumber(): string {
  // 256 is a multiple of 32, so every letter is as likely as any other.
  return `FS-${Array.from(randomBytes(LENGTH), (byte) => BASE32[byte % BASE32.length]).join('')}`;
}

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
