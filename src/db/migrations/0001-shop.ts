import type { Knex } from 'knex';

/** Children first, because of the foreign keys. */
const TABLES = ['order_items', 'orders', 'cart_items', 'carts', 'sessions', 'products', 'categories'];

/**
 * The shop's tables. Rules that must always hold are constraints here, so that no code can break them, also under
 * concurrency. Money is in cents of the Brazilian real. Foreign keys have an index where rows are looked up or deleted
 * by them.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.schema.raw(`
    create table categories (
      id serial primary key,
      slug text not null unique,
      name text not null,
      position integer not null
    );

    create table products (
      id serial primary key,
      slug text not null unique,
      name text not null,
      summary text not null,
      description text not null,
      price_cents integer not null constraint products_price_positive check (price_cents > 0),
      stock integer not null constraint products_stock_not_negative check (stock >= 0),
      picture text not null,
      featured boolean not null default false,
      category_id integer not null references categories,
      created_at timestamptz not null default now()
    );
    create index products_category on products (category_id);

    create table sessions (
      id uuid primary key,
      created_at timestamptz not null default now(),
      last_seen_at timestamptz not null default now()
    );
    create index sessions_last_seen on sessions (last_seen_at);

    create table carts (
      id uuid primary key default gen_random_uuid(),
      session_id uuid not null references sessions on delete cascade,
      status text not null default 'open' constraint carts_status_known check (status in ('open', 'ordered')),
      created_at timestamptz not null default now(),
      updated_at timestamptz not null default now()
    );
    create unique index carts_one_open_per_session on carts (session_id) where status = 'open';
    create index carts_session on carts (session_id);

    create table cart_items (
      id serial primary key,
      cart_id uuid not null references carts on delete cascade,
      product_id integer not null references products,
      quantity integer not null constraint cart_items_quantity_in_range check (quantity between 1 and 99),
      created_at timestamptz not null default now(),
      constraint cart_items_one_row_per_product unique (cart_id, product_id)
    );
    create index cart_items_product on cart_items (product_id);

    create table orders (
      id serial primary key,
      number text not null unique,
      cart_id uuid not null constraint orders_one_per_cart unique references carts on delete restrict,
      session_id uuid not null references sessions on delete restrict,
      status text not null constraint orders_status_known check (status in ('paid')),
      subtotal_cents integer not null constraint orders_subtotal_positive check (subtotal_cents > 0),
      shipping_cents integer not null constraint orders_shipping_not_negative check (shipping_cents >= 0),
      total_cents integer not null constraint orders_total_adds_up check (total_cents = subtotal_cents + shipping_cents),
      first_name text not null,
      last_name text not null,
      email text not null,
      mobile text not null,
      address1 text not null,
      address2 text,
      city text not null,
      state text not null,
      country text not null,
      zip text not null,
      payment_reference text not null,
      created_at timestamptz not null default now()
    );
    create index orders_session on orders (session_id);

    create table order_items (
      order_id integer not null references orders on delete cascade,
      product_id integer not null references products,
      product_name text not null,
      unit_price_cents integer not null constraint order_items_price_positive check (unit_price_cents > 0),
      quantity integer not null constraint order_items_quantity_positive check (quantity > 0),
      primary key (order_id, product_id)
    );
    create index order_items_product on order_items (product_id);
  `);
}

export async function down(knex: Knex): Promise<void> {
  for (const table of TABLES) await knex.schema.dropTable(table);
}
