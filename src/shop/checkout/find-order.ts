import type { Knex } from 'knex';
import type { OrderConfirmationView } from '../views.ts';

/** An order as its confirmation shows it; null when the session has no such order. */
export async function findOrder(
  database: Knex,
  sessionId: string,
  number: string,
): Promise<OrderConfirmationView['order'] | null> {
  const order: OrderRow | undefined = await database('orders').where({ number, session_id: sessionId }).first();
  if (!order) return null;
  const items: ItemRow[] = await database('order_items')
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

interface ItemRow {
  name: string;
  slug: string;
  picture: string;
  quantity: number;
  unitPriceCents: number;
}
