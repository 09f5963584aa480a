import type { Knex } from 'knex';
import { named } from '../../db/named.ts';
import type { CartView } from '../views.ts';
import type { Customer } from './form.ts';

export interface NewOrder {
  number: string;
  cartId: string;
  sessionId: string;
  cart: CartView;
  customer: Customer;
  paymentReference: string;
}

/**
 * Takes hold of one of the session's carts until the transaction ends.
 *
 * @param cartId the cart to order; null for the open one, whichever it is
 */
export async function lockCart(
  transaction: Knex.Transaction,
  sessionId: string,
  cartId: string | null,
): Promise<{ id: string; ordered: boolean } | null> {
  const row: { id: string; status: string } | undefined = await transaction('carts')
    .where({ session_id: sessionId, ...(cartId === null ? { status: 'open' } : { id: cartId }) })
    .forUpdate()
    .first('id', 'status');
  return row ? { id: row.id, ordered: row.status === 'ordered' } : null;
}

/**
 * Takes hold of products until the transaction ends, in the order of their ids, so that two checkouts never wait for
 * each other in a circle.
 *
 * @returns what is in stock now, by product id
 */
export async function lockStock(transaction: Knex.Transaction, productIds: number[]): Promise<Map<number, number>> {
  const rows: { id: number; stock: number }[] = await transaction('products')
    .whereIn('id', productIds)
    .orderBy('id')
    // Not `for update`, which would also block the foreign keys of those who add the product to their carts.
    .forNoKeyUpdate()
    .select('id', 'stock');
  return new Map(rows.map(({ id, stock }) => [id, stock]));
}

/** Takes everything that is in a cart out of the stock. */
export async function takeStock(transaction: Knex.Transaction, cartId: string): Promise<void> {
  await named(
    transaction.raw(
      `update products set stock = products.stock - cart_items.quantity
       from cart_items where cart_items.cart_id = ? and products.id = cart_items.product_id`,
      [cartId],
    ),
    'update',
    'products',
  );
}

/** Writes a paid order with its items and closes its cart. */
export async function storeOrder(transaction: Knex.Transaction, order: NewOrder): Promise<void> {
  const { cart, customer } = order;
  const [row]: { id: number }[] = await transaction('orders')
    .insert({
      number: order.number,
      cart_id: order.cartId,
      session_id: order.sessionId,
      status: 'paid',
      subtotal_cents: cart.subtotalCents,
      shipping_cents: cart.shippingCents,
      total_cents: cart.totalCents,
      first_name: customer.firstName,
      last_name: customer.lastName,
      email: customer.email,
      mobile: customer.mobile,
      address1: customer.address1,
      address2: customer.address2,
      city: customer.city,
      state: customer.state,
      country: customer.country,
      zip: customer.zip,
      payment_reference: order.paymentReference,
    })
    .returning('id');
  await transaction('order_items').insert(
    cart.items.map((item) => ({
      order_id: row?.id,
      product_id: item.product.id,
      product_name: item.product.name,
      unit_price_cents: item.unitPriceCents,
      quantity: item.quantity,
    })),
  );
  await transaction('carts').where('id', order.cartId).update({ status: 'ordered', updated_at: transaction.fn.now() });
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
