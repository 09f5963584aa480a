import type { Knex } from 'knex';
import { labelQuery } from '../../db/query-labels.ts';
import { SHORT_LOCK_WAIT_MS } from '../../deadlines.ts';
import { MAX_AMOUNT_CENTS, type PaymentMethod } from '../../payments/gateway.ts';
import type { Cart, CartItem } from '../cart/cart.ts';
import { ITEM_COLUMNS, type ItemRow, toItem } from '../cart/queries.ts';
import { estimateDelivery } from '../delivery.ts';
import { leastTotalCents, SHIPPING_CENTS } from '../money.ts';
import type { OrderConfirmationView } from '../views.ts';
import { formatCep, isBrazil } from './cep.ts';
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
  installments: number;
}

const ITEM_LIST = Object.entries(ITEM_COLUMNS)
  .map(([name, column]) => `${column} as "${name}"`)
  .join(', ');

/** What a checkout may be charged for. */
export interface PaymentStart {
  /** Of the payment to be started. */
  readonly reference: string;
  /** The process that asks for it, as the primary knows it. */
  readonly worker: string;
  readonly method: PaymentMethod;
  /** The total that the form showed, in cents of BRL; null: any. */
  readonly totalCents: number | null;
  /** In which it is to be paid. */
  readonly installments: number;
}

export interface CartRequest {
  readonly sessionId: string;
  /** Of the cart to order; null for the open one. */
  readonly cartId: string | null;
  /** Null: the cart is only read. */
  readonly start: PaymentStart | null;
}

export interface FoundCart {
  id: string;
  ordered: boolean;
  items: CartItem[];
  /** Whether its payment is started. */
  started: boolean;
}

type CartRow = { sessionId: string; status: string; started: boolean; skipped: boolean } & (
  | ({ cartId: string } & (ItemRow | { id: null }))
  | { cartId: null }
);

/** One request of {@link reserveCarts}, which waits for an order that is being stored: its cart is not open after that. */
export async function reserveCart(database: Knex, request: CartRequest): Promise<FoundCart | null> {
  return (await reserveCarts(database, [request], 'wait')).get(request.sessionId) ?? null;
}

/**
 * Reads a cart of each session with its items, in the order of the product ids, and writes down that its payment is
 * about to be asked for, which must be done before the provider is. One statement, so it charges for what it reads.
 *
 * No payment is started for a cart that is empty or not open, for more units than are in stock, for another total than
 * the form showed, for more than one payment can have, for too little for the instalments, or while another payment for
 * the cart is under way.
 *
 * @param requests each of another session
 * @param locked what to do with carts that other transactions have locked
 * @returns by session; null for no such cart; nothing for a cart that was skipped
 * @throws with `skip`, an error for which `isLockTimeout` is true, when another transaction has locked a payment
 */
export async function reserveCarts(
  database: Knex,
  requests: readonly CartRequest[],
  locked: 'skip' | 'wait',
): Promise<Map<string, FoundCart | null>> {
  const isShared = locked === 'skip';
  const starts = requests.map(({ start }) => start);
  const { rows } = await labelQuery(
    database.raw<{ rows: CartRow[] }>(
      `with wanted as (
         select * from unnest(
           :sessionIds::uuid[], :cartIds::uuid[], :references::text[], :workers::text[], :methods::text[],
           :totals::numeric[], :leastTotals::bigint[]
         ) as wanted (session_id, cart_id, reference, worker, method, total_cents, least_cents)
       ), cart as (
         select carts.id, carts.session_id, status from wanted join carts using (session_id)
         where case when wanted.cart_id is null then status = 'open' else carts.id = wanted.cart_id end
       ), item as (
         select cart.id as cart_id, ${ITEM_LIST} from cart
         join cart_items on cart_items.cart_id = cart.id
         join products on products.id = cart_items.product_id
       ), due as (
         select cart_id, sum(quantity * "priceCents") + ${SHIPPING_CENTS} as cents, bool_and(quantity <= stock) as "inStock"
         from item group by cart_id
       ), payable as (
         select cart.id, reference, worker, method, cents
         from wanted join cart using (session_id) join due on due.cart_id = cart.id
         where reference is not null and status = 'open' and "inStock" and cents <= ${MAX_AMOUNT_CENTS}
           and cents = coalesce(total_cents, cents) and cents >= least_cents
       ), locked as (
         select id from carts where id in (select id from payable) and status = 'open'
         for update ${isShared ? 'skip locked' : ''}
       ), lock_limit as (
         select set_config('lock_timeout', :lockTimeoutMs::text, true)
       ), payment as (
         insert into payments (reference, cart_id, amount_cents, method, worker, state)
         select reference, id, cents, method, worker, 'started' from payable join locked using (id), lock_limit
         on conflict (cart_id) where state in ('started', 'waiting', 'approved') and given_up_at is null do nothing
         returning cart_id
       )
       select wanted.session_id as "sessionId", cart.id as "cartId", cart.status,
         exists (select from payment where payment.cart_id = cart.id) as started,
         cart.id in (select id from payable) and cart.id not in (select id from locked) as skipped,
         item.*
       from wanted left join cart using (session_id) left join item on item.cart_id = cart.id
       order by item."productId"`,
      {
        lockTimeoutMs: isShared ? SHORT_LOCK_WAIT_MS : 0,
        sessionIds: requests.map(({ sessionId }) => sessionId),
        cartIds: requests.map(({ cartId }) => cartId),
        references: starts.map((start) => start?.reference ?? null),
        workers: starts.map((start) => start?.worker ?? null),
        methods: starts.map((start) => start?.method ?? null),
        totals: starts.map((start) => start?.totalCents ?? null),
        leastTotals: starts.map((start) => leastTotalCents(start?.installments ?? 1)),
      },
    ),
    'insert',
    'payments',
  );
  const found = new Map<string, FoundCart | null>();
  for (const row of rows) {
    if (row.cartId === null) {
      found.set(row.sessionId, null);
    } else if (!isShared || !row.skipped) {
      const cart = found.get(row.sessionId) ?? {
        id: row.cartId,
        ordered: row.status === 'ordered',
        items: [],
        started: row.started,
      };
      if (row.id !== null) cart.items.push(toItem(row));
      found.set(row.sessionId, cart);
    }
  }
  return found;
}

export type StoredOrder =
  /** `lateUnits` were added after the reservation, and are in the next cart. */
  | { stored: true; lateUnits: number }
  /** `stock`: units left, by product id; null when the cart is not open any more, or the payment was given up. */
  | { stored: false; stock: ReadonlyMap<number, number> | null };

/** What `store_order` answers. */
export interface StoredRow {
  is_stored: boolean;
  /** By product id. */
  in_stock: Record<string, number> | null;
  late_units: number;
}

/**
 * Takes a paid order's units out of the stock, writes it with its items, ends its payment and closes its cart, all or
 * nothing, in one round trip: migrations 0005-store-order and 0006-installments.
 *
 * @param lockTimeoutMs for each lock that another transaction holds; 0: until the statement's own deadline, so that its
 *   time is mostly a wait
 * @throws an error for which `isLockTimeout` is true
 */
export async function storeOrder(database: Knex, order: NewOrder, lockTimeoutMs: number): Promise<StoredOrder> {
  const { new_order, new_items } = storeArguments(order);
  const query = database.raw<{ rows: [StoredRow] }>('select * from store_order(:order, :items, :lockTimeoutMs)', {
    order: JSON.stringify(new_order),
    items: JSON.stringify(new_items),
    lockTimeoutMs,
  });
  return readStored(query, lockTimeoutMs);
}

/**
 * Stores several orders as {@link storeOrder} does, in one transaction. An order that lacks stock is left out; if the
 * statement fails, none is stored.
 *
 * It first locks the rows of all orders: carts, payments and products as `store_order` does, then the sessions, which a
 * trigger changes. Each kind is locked by its ids, so that orders never wait for each other in a circle.
 *
 * @param orders each of another cart
 * @returns by cart
 */
export async function storeOrders(
  database: Knex,
  orders: readonly NewOrder[],
  lockTimeoutMs: number,
): Promise<Map<string, StoredOrder>> {
  const { rows } = await labelQuery(
    database.raw<{ rows: ({ cart_id: string } & StoredRow)[] }>(
      `with wanted as (
         select * from jsonb_to_recordset(:orders::jsonb)
           as wanted (session_id uuid, cart_id uuid, reference text, new_order jsonb, new_items jsonb)
       ), lock_limit as (
         select set_config('lock_timeout', :lockTimeoutMs::text, true)
       ), cart as (
         select id from carts, lock_limit where id in (select cart_id from wanted)
         order by id for update of carts
       ), payment as (
         select payments.reference from payments, (select count(*) from cart) as first
         where payments.reference in (select reference from wanted)
         order by payments.reference for update of payments
       ), product as (
         select id from products, (select count(*) from payment) as first
         where id in (select (item ->> 'product_id')::bigint from wanted, jsonb_array_elements(new_items) as item)
         order by id for no key update of products
       ), session as (
         select id from sessions, (select count(*) from product) as first where id in (select session_id from wanted)
         order by id for no key update of sessions
       ), locked as (
         select count(*) as sessions from session
       )
       select wanted.cart_id, stored.* from locked, wanted,
         store_order(new_order, new_items, :lockTimeoutMs::integer + 0 * locked.sessions::integer) as stored`,
      {
        orders: JSON.stringify(
          orders.map((order) => ({
            session_id: order.sessionId,
            cart_id: order.cartId,
            reference: order.reference,
            ...storeArguments(order),
          })),
        ),
        lockTimeoutMs,
      },
    ),
    'insert',
    'orders',
  );
  return new Map(rows.map(({ cart_id, ...row }) => [cart_id, toStored(row)]));
}

/** The arguments of `store_order`. */
function storeArguments(order: NewOrder): { new_order: OrderRecords['order']; new_items: OrderRecords['items'] } {
  const { order: record, items } = orderRecords(order);
  return { new_order: { ...record, number: order.number, payment_reference: order.reference }, new_items: items };
}

/** An item as `store_order` takes it, and the slug of its product, which it ignores. */
export interface StoredItem {
  product_id: number;
  product_slug: string;
  product_name: string;
  unit_price_cents: number;
  quantity: number;
}

/** What `store_order` takes: rows of `orders` and `order_items`, but for the order's number and the payment's reference. */
export interface OrderRecords {
  order: Readonly<Record<string, unknown>>;
  items: StoredItem[];
}

export function orderRecords({
  cartId,
  cart,
  sessionId,
  customer,
  installments,
}: Omit<NewOrder, 'number' | 'reference'>): OrderRecords {
  return {
    order: {
      cart_id: cartId,
      session_id: sessionId,
      subtotal_cents: cart.subtotalCents,
      shipping_cents: cart.shippingCents,
      total_cents: cart.totalCents,
      first_name: customer.firstName,
      last_name: customer.lastName,
      email: customer.email,
      mobile: customer.mobile,
      address1: customer.address1,
      house_number: customer.houseNumber,
      address2: customer.address2,
      district: customer.district,
      city: customer.city,
      state: customer.state,
      country: customer.country,
      zip: customer.zip,
      installments,
    },
    items: cart.items.map(({ product, unitPriceCents, quantity }) => ({
      product_id: product.id,
      product_slug: product.slug,
      product_name: product.name,
      unit_price_cents: unitPriceCents,
      quantity,
    })),
  };
}

/** Runs a statement that stores an order, and reads its answer. */
export async function readStored(query: Knex.Raw<{ rows: [StoredRow] }>, lockTimeoutMs: number): Promise<StoredOrder> {
  const { rows } = await (lockTimeoutMs === 0
    ? labelQuery(query, 'lock', 'products')
    : labelQuery(query, 'insert', 'orders'));
  return toStored(rows[0]);
}

function toStored({ is_stored, in_stock, late_units }: StoredRow): StoredOrder {
  if (is_stored) return { stored: true, lateUnits: late_units };
  const stock = in_stock && new Map(Object.entries(in_stock).map(([id, units]) => [Number(id), units]));
  return { stored: false, stock };
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
  const rows: OrderRow[] = await database('orders')
    .join('order_items', 'order_items.order_id', 'orders.id')
    .join('products', 'products.id', 'order_items.product_id')
    .leftJoin('payments', 'payments.reference', 'orders.payment_reference')
    .where({ 'orders.number': number, 'orders.session_id': sessionId })
    .orderBy('order_items.product_id')
    .select('orders.*', {
      method: 'payments.method',
      name: 'order_items.product_name',
      slug: 'products.slug',
      picture: 'products.picture',
      quantity: 'order_items.quantity',
      unitPriceCents: 'order_items.unit_price_cents',
    });
  const [order] = rows;
  if (!order) return null;
  return {
    number: order.number,
    createdAt: order.created_at,
    items: rows.map(({ name, slug, picture, quantity, unitPriceCents }) => ({
      name,
      slug,
      picture,
      quantity,
      unitPriceCents,
      totalCents: unitPriceCents * quantity,
    })),
    subtotalCents: order.subtotal_cents,
    shippingCents: order.shipping_cents,
    totalCents: order.total_cents,
    payment: { method: order.method ?? 'card', installments: order.installments },
    customer: { name: `${order.first_name} ${order.last_name}`, email: order.email, mobile: order.mobile },
    address: addressLines(order),
    delivery: estimateDelivery({ createdAt: order.created_at, zip: order.zip, country: order.country }),
  };
}

function addressLines(order: OrderRow): string[] {
  return [
    order.house_number ? `${order.address1}, ${order.house_number}` : order.address1,
    order.address2,
    order.district ?? '',
    `${order.city} – ${order.state}`,
    ...(isBrazil(order.country) ? [`CEP ${formatCep(order.zip)}`] : [order.zip, order.country]),
  ].filter(Boolean);
}

/** An item of an order, with its order. */
interface OrderRow {
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
  house_number: string | null;
  address2: string;
  district: string | null;
  city: string;
  state: string;
  country: string;
  zip: string;
  installments: number;
  /** Null for an order of version 1.0.0, which kept no payments. */
  method: PaymentMethod | null;
  name: string;
  slug: string;
  picture: string;
  quantity: number;
  unitPriceCents: number;
}
