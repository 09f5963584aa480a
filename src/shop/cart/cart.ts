import { SHIPPING_CENTS } from '../money.ts';

/** Units of one product that a cart holds at most; the schema says the same. */
export const MAX_QUANTITY = 99;

export interface CartItem {
  id: number;
  product: { id: number; slug: string; name: string; picture: string; stock: number };
  quantity: number;
  unitPriceCents: number;
  totalCents: number;
}

/** Amounts are cents of BRL. */
export interface Cart {
  items: CartItem[];
  /** Units over all items. */
  count: number;
  subtotalCents: number;
  shippingCents: number;
  totalCents: number;
}

/** A cart with its sums. An empty cart ships for nothing. */
export function sumUp(items: CartItem[]): Cart {
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
