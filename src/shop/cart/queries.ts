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

/** Units in the session's open cart. */
export async function countUnits(database: Knex, sessionId: string): Promise<number> {
  const [row]: { units: number | null }[] = await database('carts')
    .join('cart_items', 'cart_items.cart_id', 'carts.id')
    .where({ 'carts.session_id': sessionId, 'carts.status': 'open' })
    .sum({ units: 'cart_items.quantity' });
  return row?.units ?? 0;
}

/** What an attempt to add to a cart met. */
export interface Addition {
  slug: string;
  /** 0: nothing was changed. */
  stock: number;
  /** Units of the product in the cart now; null when they would be too many, and nothing was changed. */
  inCart: number | null;
  /** Units of the whole cart, without other additions that are under way. */
  cartCount: number;
}

/**
 * Adds units to the session's open cart. Stores the session and opens a cart if need be.
 *
 * One statement, so it happens whole or not at all, and concurrent adds queue up at the cart's row. It also queues
 * behind an order that is being stored, and finds no open cart after it: then the units go into a new one. So do those
 * that are added while the cart's payment is under way, when its order is stored.
 *
 * The cleanup may be about to remove a session that was last seen long ago, so such a one is seen now. Its row is locked
 * before the cart's, as the cleanup does.
 *
 * @returns null when there is no such product, and nothing was changed
 */
export async function addToCart(
  database: Knex,
  sessionId: string,
  productId: number,
  quantity: number,
): Promise<Addition | null> {
  const { rows } = await labelQuery(
    database.raw<{ rows: Addition[] }>(
      `with product as (
         select id, slug, stock from products where id = :productId::bigint
       ), stored_session as (
         insert into sessions (id, cart_filled)
         select :sessionId::uuid, true from product
         where stock > 0 and not exists (
           select from sessions where id = :sessionId::uuid and last_seen_at > now() - interval '1 hour')
         on conflict (id) do update set last_seen_at = now()
         returning id
       ), cart as (
         insert into carts (session_id)
         select :sessionId::uuid from product, (select count(*) from stored_session) as first where stock > 0
         on conflict (session_id) where status = 'open' do update set updated_at = carts.updated_at
         returning id
       ), item as (
         insert into cart_items (cart_id, product_id, quantity)
         select cart.id, product.id, :quantity::integer from cart, product
         on conflict (cart_id, product_id) do update set quantity = cart_items.quantity + excluded.quantity
         where cart_items.quantity + excluded.quantity <= ${MAX_QUANTITY}
         returning cart_id, product_id, quantity
       )
       select product.slug, product.stock, item.quantity as "inCart",
         coalesce(item.quantity, 0) + (
           select coalesce(sum(other.quantity), 0)::integer from cart_items as other
           where other.cart_id = item.cart_id and other.product_id <> item.product_id
         ) as "cartCount"
       from product left join item on true`,
      { sessionId, productId, quantity },
    ),
    'insert',
    'cart_items',
  );
  return rows[0] ?? null;
}

/**
 * Sets the quantity of an item of the session's open cart.
 *
 * @param quantity 1 to 99, or 0 to remove the item
 * @returns units of the whole cart; null when the session has no such item
 */
export async function setQuantity(
  database: Knex,
  sessionId: string,
  itemId: number,
  quantity: number,
): Promise<number | null> {
  const isRemoval = quantity === 0;
  const change = isRemoval
    ? 'delete from cart_items using cart'
    : 'update cart_items set quantity = :quantity from cart';
  const { rows } = await labelQuery(
    // The cart is locked, so that an item never changes while its cart's order is being stored.
    database.raw<{ rows: { cartCount: number }[] }>(
      `with cart as materialized (
         select id from carts where session_id = :sessionId and status = 'open' for update
       ), changed as (
         ${change} where cart_id = cart.id and cart_items.id = :itemId::bigint returning cart_id, cart_items.id
       )
       select :quantity::integer + (
         select coalesce(sum(other.quantity), 0)::integer from cart_items as other
         where other.cart_id = changed.cart_id and other.id <> changed.id
       ) as "cartCount"
       from changed`,
      { sessionId, itemId, quantity },
    ),
    isRemoval ? 'delete' : 'update',
    'cart_items',
  );
  return rows[0]?.cartCount ?? null;
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
