import type { Knex } from 'knex';
import * as storeOrder from './0005-store-order.ts';

/**
 * Orders have a house number, a `bairro` and instalments. All three are absent from the `new_order` of the release before,
 * which goes on calling `store_order`.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.schema.raw(`
    alter table orders
      add column house_number text,
      add column district text,
      add column installments smallint not null default 1
        constraint orders_installments_in_range check (installments between 1 and 10);

    create or replace function store_order(
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
        first_name, last_name, email, mobile, address1, house_number, address2, district, city, state, country, zip,
        installments
      ) values (
        paid.number, paid.cart_id, paid.session_id, 'paid', paid.subtotal_cents, paid.shipping_cents, paid.total_cents,
        paid.payment_reference, paid.first_name, paid.last_name, paid.email, paid.mobile, paid.address1,
        paid.house_number, paid.address2, paid.district, paid.city, paid.state, paid.country, paid.zip,
        coalesce(paid.installments, 1)
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
  await storeOrder.down(knex);
  await knex.schema.raw('alter table orders drop column house_number, drop column district, drop column installments');
  await storeOrder.up(knex);
}
