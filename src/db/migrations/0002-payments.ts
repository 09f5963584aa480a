import type { Knex } from 'knex';

/** Columns that were `integer`, by table: all of a table in one statement, so that each table is rewritten once. */
const BIGINT_COLUMNS: Record<string, readonly string[]> = {
  categories: ['id'],
  products: ['id', 'category_id', 'price_cents'],
  cart_items: ['id', 'product_id'],
  orders: ['id', 'subtotal_cents', 'shipping_cents', 'total_cents'],
  order_items: ['order_id', 'product_id', 'unit_price_cents'],
};

/** A `serial` column's sequence has a type of its own, and ends where that ends. */
const SEQUENCES = ['categories_id_seq', 'products_id_seq', 'cart_items_id_seq', 'orders_id_seq'];

/**
 * Makes identities and amounts `bigint`, and adds the ledger of payments: docs/operations.md, "Payments".
 *
 * `payments` has no foreign key: a payment stays when its cart is removed.
 *
 * `simulated_provider_payments` is the memory of the simulated payment provider, which a real one has on its own
 * servers: the shop's code asks the provider, never this table. It is a table because all processes of all instances
 * share it.
 */
export async function up(knex: Knex): Promise<void> {
  await setTypes(knex, 'bigint');
  await knex.schema.raw(`
    create table payments (
      reference text primary key,
      cart_id uuid not null,
      amount_cents bigint not null constraint payments_amount_positive check (amount_cents > 0),
      state text not null constraint payments_state_known
        check (state in ('started', 'approved', 'ordered', 'declined', 'cancelled')),
      worker text not null,
      created_at timestamptz not null default now(),
      given_up_at timestamptz
    );
    create unique index payments_one_under_way_per_cart on payments (cart_id)
      where state in ('started', 'approved') and given_up_at is null;
    create index payments_unsettled on payments (created_at) where state in ('started', 'approved');

    create table simulated_provider_payments (
      reference text primary key,
      amount_cents bigint,
      state text not null constraint simulated_provider_payments_state_known
        check (state in ('approved', 'declined', 'cancelled'))
    );
  `);
}

export async function down(knex: Knex): Promise<void> {
  await knex.schema.dropTable('simulated_provider_payments');
  await knex.schema.dropTable('payments');
  await setTypes(knex, 'integer');
}

async function setTypes(knex: Knex, type: 'bigint' | 'integer'): Promise<void> {
  for (const [table, columns] of Object.entries(BIGINT_COLUMNS)) {
    await knex.schema.raw(`alter table ${table} ${columns.map((column) => `alter ${column} type ${type}`).join(', ')}`);
  }
  for (const sequence of SEQUENCES) await knex.schema.raw(`alter sequence ${sequence} as ${type}`);
}
