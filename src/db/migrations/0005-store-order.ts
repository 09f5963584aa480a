import type { Knex } from 'knex';

/**
 * `store_order` stores a paid order in one round trip, so that its locks are held for no wait of a worker.
 *
 * A function and not one statement: each of its statements sees everything that was committed before it began. So it
 * sees the units that were put into the cart until the cart was locked. One statement would see the cart as it was before
 * the lock.
 *
 * It locks the cart, the payment and the products: in this order everywhere, and the products in the order of their
 * ids, so that two checkouts never wait for each other in a circle.
 *
 * - `new_order` and `new_items` are rows of `orders` and `order_items`, without what the tables fill in.
 * - `lock_timeout_ms` is for each lock that another transaction holds; 0: no limit.
 * - `in_stock` has the stock by product id before the order. It is null when the cart is not open any more, or the
 *   payment was given up.
 * - `is_stored`: else nothing was changed.
 * - `late_units` were put into the cart after the order was reserved. They are in the session's next cart.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.schema.raw(`
    create function store_order(
      new_order jsonb, new_items jsonb, lock_timeout_ms integer,
      out is_stored boolean, out in_stock jsonb, out late_units integer
    ) language plpgsql as $$
    declare
      paid constant orders := jsonb_populate_record(null::orders, new_order);
      items constant order_items[] :=
        (select array_agg(item) from jsonb_populate_recordset(null::order_items, new_items) as item);
      stored_id orders.id%type;
    begin
      is_stored := false;
      late_units := 0;
      perform set_config('lock_timeout', lock_timeout_ms::text, true);
      perform from carts where id = paid.cart_id and status = 'open' for update;
      if not found then return; end if;
      perform from payments
      where reference = paid.payment_reference and cart_id = paid.cart_id
        and state in ('started', 'approved') and given_up_at is null
      for update;
      if not found then return; end if;
      -- A lock for update would also block the foreign keys of visitors who add the products to their carts.
      select jsonb_object_agg(id, stock) into in_stock from (
        select id, stock from products where id in (select product_id from unnest(items))
        order by id for no key update
      ) as locked;
      if exists (
        select from unnest(items) where coalesce((in_stock ->> product_id::text)::integer, 0) < quantity
      ) then return; end if;

      update products set stock = stock - item.quantity from unnest(items) as item where products.id = item.product_id;
      insert into orders (
        number, cart_id, session_id, status, subtotal_cents, shipping_cents, total_cents, payment_reference,
        first_name, last_name, email, mobile, address1, address2, city, state, country, zip
      ) values (
        paid.number, paid.cart_id, paid.session_id, 'paid', paid.subtotal_cents, paid.shipping_cents, paid.total_cents,
        paid.payment_reference, paid.first_name, paid.last_name, paid.email, paid.mobile, paid.address1, paid.address2,
        paid.city, paid.state, paid.country, paid.zip
      ) returning id into stored_id;
      insert into order_items (order_id, product_id, product_name, unit_price_cents, quantity)
      select stored_id, product_id, product_name, unit_price_cents, quantity from unnest(items);
      update payments set state = 'ordered' where reference = paid.payment_reference;
      update carts set status = 'ordered', updated_at = now() where id = paid.cart_id;

      with late as (
        select product_id, cart_items.quantity - coalesce(item.quantity, 0) as units
        from cart_items left join unnest(items) as item using (product_id)
        where cart_id = paid.cart_id and cart_items.quantity > coalesce(item.quantity, 0)
      ), next_cart as (
        insert into carts (session_id) select paid.session_id where exists (select from late) returning id
      ), moved as (
        insert into cart_items (cart_id, product_id, quantity) select id, product_id, units from next_cart, late
        returning quantity
      )
      select coalesce(sum(quantity), 0) into late_units from moved;
      is_stored := true;
    end $$;
  `);
}

export async function down(knex: Knex): Promise<void> {
  await knex.schema.raw('drop function store_order');
}
