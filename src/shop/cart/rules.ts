import { invalid } from '../errors.ts';
import { SHIPPING_CENTS } from '../money.ts';
import type { CartItemView, CartView } from '../views.ts';

/** Units of one product that a cart holds at most; the schema says the same. */
export const MAX_QUANTITY = 99;

/**
 * Reads a quantity: plain decimal digits and nothing else, so neither `1e1`, `+1`, `-5` nor `1.0`.
 *
 * @param min 1 to add, 0 where zero removes
 * @throws {ShopError} 422
 */
export function parseQuantity(value: unknown, min: 0 | 1): number {
  const quantity = typeof value === 'string' && /^(0|[1-9]\d?)$/.test(value) ? Number(value) : Number.NaN;
  if (quantity >= min && quantity <= MAX_QUANTITY) return quantity;
  const message = `A quantidade deve ser um número inteiro de ${min} a ${MAX_QUANTITY}.`;
  throw invalid(message, { fields: { quantity: message } });
}

/** A cart with its sums, in cents of BRL. An empty cart ships for nothing. */
export function sumUp(items: CartItemView[]): CartView {
  const subtotalCents = items.reduce((sum, item) => sum + item.totalCents, 0);
  const shippingCents = items.length > 0 ? SHIPPING_CENTS : 0;
  return {
    items,
    count: items.reduce((sum, item) => sum + item.quantity, 0),
    subtotalCents,
    shippingCents,
    totalCents: subtotalCents + shippingCents,
  };
}
