import type { Knex } from 'knex';

/**
 * Pix, a second way to pay: docs/decisions/0016-pix.md.
 *
 * A payment by Pix is `waiting` from the moment when its charge can be paid. `pix_charges` has what its order needs. It is
 * open while `new_order` is there, which holds the customer's data, and is removed at the end. The release before never
 * meets a payment that is `waiting`.
 *
 * `store_pix_order` stores the order of a confirmed Pix, like `store_order`, whose locks and answers it has. It changes
 * nothing where the order can't be stored.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.schema.raw(`
    alter table payments
      add column method text not null default 'card' constraint payments_method_known check (method in ('card', 'pix')),
      drop constraint payments_state_known,
      add constraint payments_state_known
        check (state in ('started', 'waiting', 'approved', 'ordered', 'declined', 'cancelled'));
    create unique index payments_one_open_per_cart on payments (cart_id)
      where state in ('started', 'waiting', 'approved') and given_up_at is null;
    drop index payments_one_under_way_per_cart;

    create table pix_charges (
      reference text primary key references payments on delete cascade,
      session_id uuid not null,
      br_code text not null,
      expires_at timestamptz not null,
      checked_at timestamptz not null default now(),
      new_order jsonb,
      new_items jsonb not null,
      ended text constraint pix_charges_ended_known check (ended in ('expired', 'sold_out', 'replaced', 'failed'))
    );
    create index pix_charges_open on pix_charges (checked_at) where new_order is not null;
    create index pix_charges_expiry on pix_charges (expires_at);

    create function store_pix_order(
      charge_reference text, order_number text, lock_timeout_ms integer,
      out is_stored boolean, out in_stock jsonb, out late_units integer
    ) language plpgsql as $$
    declare
      charge pix_charges;
    begin
      is_stored := false;
      late_units := 0;
      perform set_config('lock_timeout', lock_timeout_ms::text, true);
      perform from carts where id = (select cart_id from payments where reference = charge_reference) for update;
      update payments set state = 'approved'
      where reference = charge_reference and state = 'waiting' and given_up_at is null;
      if not found then return; end if;

      select * into charge from pix_charges where reference = charge_reference;
      select stored.is_stored, stored.in_stock, stored.late_units into is_stored, in_stock, late_units
      from store_order(
        charge.new_order || jsonb_build_object('number', order_number, 'payment_reference', charge_reference),
        charge.new_items, lock_timeout_ms
      ) as stored;
      if is_stored then
        update pix_charges set new_order = null where reference = charge_reference;
      else
        update payments set state = 'waiting' where reference = charge_reference;
      end if;
    end $$;

    alter table simulated_provider_payments
      add column pays_at timestamptz,
      add column expires_at timestamptz,
      drop constraint simulated_provider_payments_state_known,
      add constraint simulated_provider_payments_state_known
        check (state in ('waiting', 'approved', 'declined', 'cancelled'));
  `);
}

export async function down(knex: Knex): Promise<void> {
  await knex.schema.raw(`
    update simulated_provider_payments set state = 'cancelled' where state = 'waiting';
    alter table simulated_provider_payments
      drop column pays_at,
      drop column expires_at,
      drop constraint simulated_provider_payments_state_known,
      add constraint simulated_provider_payments_state_known check (state in ('approved', 'declined', 'cancelled'));

    drop function store_pix_order;
    drop table pix_charges;
    -- It may have been paid: the primary of the release before gives it back.
    update payments set state = 'approved', given_up_at = now() where state = 'waiting';
    create unique index payments_one_under_way_per_cart on payments (cart_id)
      where state in ('started', 'approved') and given_up_at is null;
    drop index payments_one_open_per_cart;
    alter table payments
      drop column method,
      drop constraint payments_state_known,
      add constraint payments_state_known
        check (state in ('started', 'approved', 'ordered', 'declined', 'cancelled'));
  `);
}
