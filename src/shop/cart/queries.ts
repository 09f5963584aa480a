import type { Knex } from 'knex';
import { labelQuery } from '../../db/query-labels.ts';
import { type CartItem, MAX_QUANTITY } from './cart.ts';

export interface ItemRow {
  id: number;
  quantity: number;
  productId: number;
  slug: string;
  name: string;
  picture: string;
  stock: number;
  priceCents: number;
}

/** An empty cart is one row without an item. */
type OpenCartRow = { cartId: string } & (ItemRow | { [Column in keyof ItemRow]: null });

/** The open cart's id and what is in it; the id is null when there is no open cart. */
export async function findOpenCart(
  database: Knex,
  sessionId: string,
): Promise<{ cartId: string | null; items: CartItem[] }> {
  const rows: OpenCartRow[] = await database('carts')
    .leftJoin('cart_items', 'cart_items.cart_id', 'carts.id')
    .leftJoin('products', 'products.id', 'cart_items.product_id')
    .where({ 'carts.session_id': sessionId, 'carts.status': 'open' })
    .orderBy('cart_items.id')
    .select({ cartId: 'carts.id', ...ITEM_COLUMNS });
  return { cartId: rows[0]?.cartId ?? null, items: rows.filter(hasItem).map(toItem) };
}

export async function findStock(database: Knex, productId: number): Promise<{ slug: string; stock: number } | null> {
  const row: { slug: string; stock: number } | undefined = await database('products')
    .where('id', productId)
    .first('slug', 'stock');
  return row ?? null;
}

/**
 * Adds units to the session's open cart, opening one if need be.
 *
 * One statement, so it happens whole or not at all, and concurrent adds queue up at the cart's row. It also queues
 * behind an order that is being stored, and finds no open cart after it: then the units go into a new one. So do those
 * that are added while the cart's payment is under way, when its order is stored.
 *
 * @returns units of the product that are in the cart now, or null when they would be too many and nothing was changed
 */
export async function addToCart(
  database: Knex,
  sessionId: string,
  productId: number,
  quantity: number,
): Promise<number | null> {
  const { rows } = await labelQuery(
    database.raw<{ rows: { quantity: number }[] }>(
      `with cart as (
         insert into carts (session_id, status) values (:sessionId, 'open')
         on conflict (session_id) where status = 'open' do update set updated_at = carts.updated_at
         returning id
       )
       insert into cart_items (cart_id, product_id, quantity)
       select cart.id, :productId, :quantity from cart
       on conflict (cart_id, product_id) do update set quantity = cart_items.quantity + excluded.quantity
       where cart_items.quantity + excluded.quantity <= ${MAX_QUANTITY}
       returning quantity`,
      { sessionId, productId, quantity },
    ),
    'insert',
    'cart_items',
  );
  return rows[0]?.quantity ?? null;
}

/**
 * Sets the quantity of an item of the session's open cart.
 *
 * @param quantity 1 to 99
 * @returns whether the session has such an item
 */
export async function setQuantity(
  database: Knex,
  sessionId: string,
  itemId: number,
  quantity: number,
): Promise<boolean> {
  const changed = await database('cart_items')
    .where('id', itemId)
    .whereIn('cart_id', lockedOpenCart(database, sessionId))
    .update({ quantity });
  return changed > 0;
}

/** @returns whether the session had such an item */
export async function removeItem(database: Knex, sessionId: string, itemId: number): Promise<boolean> {
  const removed = await database('cart_items')
    .where('id', itemId)
    .whereIn('cart_id', lockedOpenCart(database, sessionId))
    .delete();
  return removed > 0;
}

export const ITEM_COLUMNS = {
  id: 'cart_items.id',
  quantity: 'cart_items.quantity',
  productId: 'products.id',
  slug: 'products.slug',
  name: 'products.name',
  picture: 'products.picture',
  stock: 'products.stock',
  priceCents: 'products.price_cents',
};

/** Locked, so that an item never changes while its cart's order is being stored. */
function lockedOpenCart(database: Knex, sessionId: string) {
  return database('carts').where({ session_id: sessionId, status: 'open' }).select('id').forUpdate();
}

function hasItem(row: OpenCartRow): row is { cartId: string } & ItemRow {
  return row.id !== null;
}

export function toItem(row: ItemRow): CartItem {
  return {
    id: row.id,
    product: { id: row.productId, slug: row.slug, name: row.name, picture: row.picture, stock: row.stock },
    quantity: row.quantity,
    unitPriceCents: row.priceCents,
    totalCents: row.priceCents * row.quantity,
  };
}
