import type { Knex } from 'knex';

/**
 * Shared by the instances of a shop, beside its business: form posts by address, the latest reading of the gauges, and
 * the list of instances. The first two are useless after a minute, so they are unlogged: a write waits for no flush of
 * the disk, and a crash of PostgreSQL empties them.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.schema.raw(`
    create unlogged table rate_limits (
      address text primary key,
      posts integer not null,
      window_ends_at timestamptz not null
    );
    create index rate_limits_window on rate_limits (window_ends_at);

    create unlogged table gauge_readings (
      name text primary key,
      taken_at timestamptz not null,
      reading jsonb not null
    );

    create table instances (
      id uuid primary key,
      name text not null,
      session_key_hashes text[] not null,
      seen_at timestamptz not null default now()
    );
    create table session_key_salt (
      only_row boolean primary key default true constraint session_key_salt_one_row check (only_row),
      salt uuid not null default gen_random_uuid()
    );
    insert into session_key_salt default values;
  `);
}

export async function down(knex: Knex): Promise<void> {
  for (const table of ['session_key_salt', 'instances', 'gauge_readings', 'rate_limits']) {
    await knex.schema.dropTable(table);
  }
}
