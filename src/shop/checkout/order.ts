import { randomBytes } from 'node:crypto';
import { type CheckoutPhase, ORDER_OUTCOMES } from '../../instrument/label-values.ts';
import type { WorkerMetrics } from '../../instrument/worker-metrics.ts';
import type { Cart, CartItem } from '../cart/cart.ts';
import type { RequestExemplar } from '../route.ts';

export interface PaidOrder {
  outcome: 'paid';
  number: string;
  cart: Cart;
  /** Units that were added while it was paid; they are in the visitor's next cart. */
  lateUnits: number;
}

/** The parts of a paid order that are counted. */
interface SoldOrder {
  outcome: 'paid';
  cart: Pick<Cart, 'totalCents'> & { items: readonly { product: { slug: string }; quantity: number }[] };
}

export interface OutOfStock {
  outcome: 'out_of_stock';
  lacking: CartItem[];
}

/** How a submitted checkout ended, unless it failed. */
export type PlacedOrder =
  | PaidOrder
  /** It has a Pix that waits to be paid: the payment's reference. */
  | { outcome: 'charged'; reference: string }
  | OutOfStock
  /** This cart, or the cart that was open a moment ago, has its order already. */
  | { outcome: 'repeated'; number: string }
  | { outcome: 'empty' }
  | { outcome: 'declined' }
  /** Prices or the cart have changed since the form was shown. */
  | { outcome: 'total_changed'; totalCents: number }
  | { outcome: 'too_expensive' }
  /** Each would be too small. */
  | { outcome: 'too_many_installments'; totalCents: number };

export const FAILED = { outcome: 'failed' } as const;

const ATTEMPTS: ReadonlySet<string> = new Set(ORDER_OUTCOMES);

/**
 * Counts an attempt to order once its outcome is known. A repetition is no attempt, nor is a cart that can't be ordered
 * as it is, nor a Pix that was not paid.
 */
export function countOrder(
  metrics: Pick<WorkerMetrics, 'orders' | 'orderValueBrl' | 'unitsSold'>,
  placed: Exclude<PlacedOrder, PaidOrder> | SoldOrder | typeof FAILED,
): void {
  if (!ATTEMPTS.has(placed.outcome)) return;
  metrics.orders.inc({ outcome: placed.outcome });
  if (placed.outcome !== 'paid') return;
  metrics.orderValueBrl.inc(placed.cart.totalCents / 100);
  for (const { product, quantity } of placed.cart.items) metrics.unitsSold.inc({ product: product.slug }, quantity);
}

/** Follows a checkout through its phases. Each is observed when the next begins, or when all ends, failed or not. */
export interface Phases {
  enter(phase: CheckoutPhase): void;
  end(): void;
}

/** @param exemplar leads to the request that checks out */
export function followPhases(
  metrics: Pick<WorkerMetrics, 'checkoutPhaseDuration'>,
  exemplar: RequestExemplar | undefined,
): Phases {
  let current: { phase: CheckoutPhase; startedMs: number } | null = null;

  function end(): void {
    if (!current) return;
    const seconds = (performance.now() - current.startedMs) / 1000;
    metrics.checkoutPhaseDuration.observe({ phase: current.phase }, seconds, exemplar);
    current = null;
  }

  return {
    enter(phase) {
      end();
      current = { phase, startedMs: performance.now() };
    },
    end,
  };
}

/** RFC 4648, section 6. */
const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const LENGTH = 16;

export const ORDER_NUMBER = new RegExp(`^FS-[${BASE32}]{${LENGTH}}$`);

/** A number that can't be guessed: 80 random bits. */
export function newOrderNumber(): string {
  // 256 is a multiple of 32, so every letter is as likely as any other.
  return `FS-${Array.from(randomBytes(LENGTH), (byte) => BASE32[byte % BASE32.length]).join('')}`;
}
