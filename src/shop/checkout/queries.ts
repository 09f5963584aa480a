import type { Knex } from 'knex';
import { labelQuery } from '../../db/query-labels.ts';
import type { Cart, CartItem } from '../cart/cart.ts';
import { ITEM_COLUMNS, type ItemRow, toItem } from '../cart/queries.ts';
import type { OrderConfirmationView } from '../views.ts';
import type { Customer } from './form.ts';

/** A cart as it was when its payment was started: exactly this is ordered, even if the cart changes meanwhile. */
export interface Reservation {
  /** Of the payment. */
  reference: string;
  cartId: string;
  cart: Cart;
}

export interface NewOrder extends Reservation {
  number: string;
  sessionId: string;
  customer: Customer;
}

/** Units of a product that are not in an order. */
export interface Units {
  productId: number;
  quantity: number;
}

type CartRow = { cartId: string; status: string } & (ItemRow | { [Column in keyof ItemRow]: null });

/**
 * One of the session's carts with what is in it, in the order of the product ids.
 *
 * @param cartId the cart to order; null for the open one
 */
export async function findCart(
  database: Knex,
  sessionId: string,
  cartId: string | null,
): Promise<{ id: string; ordered: boolean; items: CartItem[] } | null> {
  const rows: CartRow[] = await database('carts')
    .leftJoin('cart_items', 'cart_items.cart_id', 'carts.id')
    .leftJoin('products', 'products.id', 'cart_items.product_id')
    .where({
      'carts.session_id': sessionId,
      ...(cartId === null ? { 'carts.status': 'open' } : { 'carts.id': cartId }),
    })
    .orderBy('products.id')
    .select({ cartId: 'carts.id', status: 'carts.status', ...ITEM_COLUMNS });
  const [cart] = rows;
  if (!cart) return null;
  return {
    id: cart.cartId,
    ordered: cart.status === 'ordered',
    items: rows.flatMap((row) => (row.id === null ? [] : [toItem(row)])),
  };
}

/**
 * Locks, until the transaction ends, the cart, the payment, which becomes `ordered`, and the products: in this order
 * everywhere, and the products in the order of their ids, so that two checkouts never wait for each other in a circle.
 *
 * @param lockTimeoutMs for each lock that another transaction holds; 0: until the statement's own deadline
 * @returns what is in stock now, by product id; null when the cart is not open any more, or the payment was given up
 * @throws an error for which `isLockTimeout` is true
 */
export async function lockForOrder(
  transaction: Knex.Transaction,
  { reference, cartId, cart }: Reservation,
  lockTimeoutMs: number,
): Promise<Map<number, number> | null> {
  const { rows } = await labelQuery(
    // `for update` of the products would also block the foreign keys of visitors who add them to their carts.
    transaction.raw<{ rows: { id: number; stock: number }[] }>(
      `with cart as materialized (
         select id from carts, set_config('lock_timeout', :lockTimeout, true)
         where id = :cartId and status = 'open' for update of carts
       ), payment as (
         update payments set state = 'ordered' from cart
         where payments.reference = :reference and payments.cart_id = cart.id
           and payments.state in ('started', 'approved') and payments.given_up_at is null
         returning payments.reference
       )
       select products.id, products.stock from payment join products on products.id = any(:productIds)
       order by products.id
       for no key update of products`,
      { cartId, reference, lockTimeout: `${lockTimeoutMs}ms`, productIds: cart.items.map((item) => item.product.id) },
    ),
    'lock',
    'products',
  );
  return rows.length === 0 ? null : new Map(rows.map(({ id, stock }) => [id, stock]));
}

/**
 * Takes a paid order's units out of the stock, writes it with its items, and closes its cart. One statement: during
 * each round trip, orders of the same products wait.
 *
 * @returns units that were put into the cart after the order was reserved
 */
export async function storeOrder(transaction: Knex.Transaction, order: NewOrder): Promise<Units[]> {
  const { cart, customer } = order;
  const { rows } = await labelQuery(
    transaction.raw<{ rows: Units[] }>(
      `with item as (
         select * from unnest(:productIds::bigint[], :names::text[], :prices::bigint[], :quantities::integer[])
           as item (product_id, product_name, unit_price_cents, quantity)
       ), taken as (
         update products set stock = products.stock - item.quantity from item where products.id = item.product_id
       ), stored as (
         insert into orders (
           number, cart_id, session_id, status, subtotal_cents, shipping_cents, total_cents, payment_reference,
           first_name, last_name, email, mobile, address1, address2, city, state, country, zip
         ) values (
           :number, :cartId, :sessionId, 'paid', :subtotalCents, :shippingCents, :totalCents, :reference,
           :firstName, :lastName, :email, :mobile, :address1, :address2, :city, :state, :country, :zip
         ) returning id
       ), stored_items as (
         insert into order_items (order_id, product_id, product_name, unit_price_cents, quantity)
         select stored.id, item.product_id, item.product_name, item.unit_price_cents, item.quantity from stored, item
       ), closed as (
         update carts set status = 'ordered', updated_at = now() where id = :cartId
       )
       select cart_items.product_id as "productId", cart_items.quantity - coalesce(item.quantity, 0) as quantity
       from cart_items left join item on item.product_id = cart_items.product_id
       where cart_items.cart_id = :cartId and cart_items.quantity > coalesce(item.quantity, 0)`,
      {
        ...customer,
        number: order.number,
        cartId: order.cartId,
        sessionId: order.sessionId,
        reference: order.reference,
        subtotalCents: cart.subtotalCents,
        shippingCents: cart.shippingCents,
        totalCents: cart.totalCents,
        productIds: cart.items.map(({ product }) => product.id),
        names: cart.items.map(({ product }) => product.name),
        prices: cart.items.map(({ unitPriceCents }) => unitPriceCents),
        quantities: cart.items.map(({ quantity }) => quantity),
      },
    ),
    'insert',
    'orders',
  );
  return rows;
}

/** Opens the session's next cart with the units that came too late for the order. */
export async function keepForLater(transaction: Knex.Transaction, sessionId: string, units: Units[]): Promise<void> {
  await labelQuery(
    transaction.raw(
      `with cart as (insert into carts (session_id) values (:sessionId) returning id)
       insert into cart_items (cart_id, product_id, quantity)
       select cart.id, unit.* from cart, unnest(:productIds::bigint[], :quantities::integer[]) as unit`,
      {
        sessionId,
        productIds: units.map(({ productId }) => productId),
        quantities: units.map(({ quantity }) => quantity),
      },
    ),
    'insert',
    'cart_items',
  );
}

export async function findNumberOfCart(database: Knex, cartId: string): Promise<string | null> {
  const row: { number: string } | undefined = await database('orders').where('cart_id', cartId).first('number');
  return row?.number ?? null;
}

/** The session's latest order, if it was made in the last minutes. */
export async function findRecentNumber(database: Knex, sessionId: string, minutes: number): Promise<string | null> {
  const row: { number: string } | undefined = await database('orders')
    .where('session_id', sessionId)
    .whereRaw('created_at > now() - make_interval(mins => ?)', [minutes])
    .orderBy('id', 'desc')
    .first('number');
  return row?.number ?? null;
}

/** An order as its confirmation shows it; null when the session has no such order. */
export async function findOrder(
  database: Knex,
  sessionId: string,
  number: string,
): Promise<OrderConfirmationView['order'] | null> {
  const order: OrderRow | undefined = await database('orders').where({ number, session_id: sessionId }).first();
  if (!order) return null;
  const items: OrderItemRow[] = await database('order_items')
    .join('products', 'products.id', 'order_items.product_id')
    .where('order_items.order_id', order.id)
    .orderBy('order_items.product_id')
    .select({
      name: 'order_items.product_name',
      slug: 'products.slug',
      picture: 'products.picture',
      quantity: 'order_items.quantity',
      unitPriceCents: 'order_items.unit_price_cents',
    });
  return {
    number: order.number,
    createdAt: order.created_at,
    items: items.map((item) => ({ ...item, totalCents: item.unitPriceCents * item.quantity })),
    subtotalCents: order.subtotal_cents,
    shippingCents: order.shipping_cents,
    totalCents: order.total_cents,
    customer: { name: `${order.first_name} ${order.last_name}`, email: order.email, mobile: order.mobile },
    address: [order.address1, order.address2, `${order.city} – ${order.state}`, order.zip, order.country].filter(
      Boolean,
    ),
  };
}

interface OrderRow {
  id: number;
  number: string;
  created_at: Date;
  subtotal_cents: number;
  shipping_cents: number;
  total_cents: number;
  first_name: string;
  last_name: string;
  email: string;
  mobile: string;
  address1: string;
  address2: string;
  city: string;
  state: string;
  country: string;
  zip: string;
}

interface OrderItemRow {
  name: string;
  slug: string;
  picture: string;
  quantity: number;
  unitPriceCents: number;
}
