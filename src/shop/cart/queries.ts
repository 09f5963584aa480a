import type { Knex } from 'knex';
import { labelQuery } from '../../db/query-labels.ts';
import { SHORT_LOCK_WAIT_MS } from '../../deadlines.ts';
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

/** The open cart's id and items; the id is null when there is no open cart. */
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

/** Units of a product to be added to the open cart of a session. */
export interface Units {
  readonly sessionId: string;
  readonly productId: number;
  /** 1 to 99. */
  readonly quantity: number;
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
 * Adds units to the session's open cart, as {@link addToCarts} does. Concurrent adds queue up at the cart's row, and also
 * behind an order that is being stored. After that, there is no open cart: the units go into a new one. So do those
 * that are added while the cart's payment is under way, when its order is stored.
 *
 * @returns null when there is no such product, and nothing was changed
 */
export async function addToCart(database: Knex, units: Units): Promise<Addition | null> {
  for (;;) {
    const addition = (await addToCarts(database, [units], 'wait')).get(units.sessionId);
    // The cart that the statement waited for is not open any more, or another request has just opened one.
    if (addition !== undefined) return addition;
  }
}

/**
 * Adds units to the open carts of sessions. Stores the sessions and opens carts if need be. One statement, so it happens
 * whole or not at all.
 *
 * The cleanup may be about to remove a session that was last seen long ago, so such a one is seen now. Sessions are
 * locked before carts, as the cleanup does, and in the order of their ids, so that statements never wait for each other
 * in a circle. This includes the sessions that a trigger changes with the first item of their cart.
 *
 * @param units each for another session
 * @param locked what to do with carts and products that other transactions have locked
 * @returns by session; null where there is no such product; nothing for a cart or a product that was locked, and for a
 *   cart that was opened or ordered at the same time: then nothing was added to it
 */
export async function addToCarts(
  database: Knex,
  units: readonly Units[],
  locked: 'skip' | 'wait',
): Promise<Map<string, Addition | null>> {
  const isShared = locked === 'skip';
  const skipLocked = isShared ? 'skip locked' : '';
  const { rows } = await labelQuery(
    database.raw<{ rows: ({ sessionId: string; isKnown: boolean; isAdded: boolean } & Addition)[] }>(
      `with wanted as (
         select * from unnest(:sessionIds::uuid[], :productIds::bigint[], :quantities::integer[])
           as wanted (session_id, product_id, quantity)
       ), product as (
         select id, slug, stock from products where id = any (:productIds::bigint[]) for key share ${skipLocked}
       ), sold as (
         select session_id, id as product_id, quantity from wanted join product on id = product_id where stock > 0
       ), lock_limit as (
         select set_config('lock_timeout', :lockTimeoutMs::text, true)
       ), stored_session as (
         insert into sessions (id, cart_filled)
         select session_id, not exists (select from carts where carts.session_id = sold.session_id and status = 'open')
         from sold, lock_limit
         where not exists (
           select from sessions
           where id = session_id ${isShared ? 'and cart_filled' : ''} and last_seen_at > now() - interval '1 hour')
         order by session_id
         on conflict (id) do update set last_seen_at = now()
         returning id
       ), found_cart as (
         select carts.id, session_id from carts, (select count(*) from stored_session) as first
         where session_id in (select session_id from sold) and status = 'open'
         for update of carts ${skipLocked}
       ), new_cart as (
         insert into carts (session_id)
         select session_id from sold, (select count(*) from stored_session) as first
         where not exists (select from carts where carts.session_id = sold.session_id and status = 'open')
         order by session_id
         on conflict (session_id) where status = 'open' do nothing
         returning id, session_id
       ), cart as (
         select * from found_cart union all select * from new_cart
       ), item as (
         insert into cart_items (cart_id, product_id, quantity)
         select cart.id, product_id, quantity from cart join sold using (session_id)
         on conflict (cart_id, product_id) do update set quantity = cart_items.quantity + excluded.quantity
         where cart_items.quantity + excluded.quantity <= ${MAX_QUANTITY}
         returning cart_id, product_id, quantity
       )
       select wanted.session_id as "sessionId", exists (select from products where products.id = wanted.product_id) as "isKnown",
         product.stock = 0 or cart.id is not null as "isAdded",
         product.slug, product.stock, item.quantity as "inCart",
         coalesce(item.quantity, 0) + (
           select coalesce(sum(other.quantity), 0)::integer from cart_items as other
           where other.cart_id = item.cart_id and other.product_id <> item.product_id
         ) as "cartCount"
       from wanted left join product on product.id = product_id
         left join cart using (session_id) left join item on item.cart_id = cart.id`,
      {
        lockTimeoutMs: isShared ? SHORT_LOCK_WAIT_MS : 0,
        sessionIds: units.map(({ sessionId }) => sessionId),
        productIds: units.map(({ productId }) => productId),
        quantities: units.map(({ quantity }) => quantity),
      },
    ),
    'insert',
    'cart_items',
  );
  const answered = rows.filter(({ isKnown, isAdded }) => !isKnown || isAdded);
  return new Map(
    answered.map(({ sessionId, isKnown, isAdded: _, ...addition }) => [sessionId, isKnown ? addition : null]),
  );
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
