import assert from 'node:assert/strict';
import type { TestShop } from './shop.ts';
import type { Page, Visitor } from './visitor.ts';

export interface Form {
  shopper: Visitor;
  /** The hidden fields. */
  hidden: { cart: string; total_cents: string };
}

/** A shopper who sees the checkout of so many units of product 1. */
export async function atCheckout(shop: TestShop, quantity = 1): Promise<Form> {
  const shopper = shop.visitor();
  assert.equal((await shopper.post('/add_to_cart/1', { quantity })).status, 302);
  return { shopper, hidden: hiddenFields(await shopper.get('/checkout')) };
}

export function hiddenFields({ text }: Page): Form['hidden'] {
  const fieldOf = (name: string) => new RegExp(`name="${name}" value="([^"]+)"`).exec(text)?.[1] ?? '';
  return { cart: fieldOf('cart'), total_cents: fieldOf('total_cents') };
}
