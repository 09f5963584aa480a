import type { Knex } from 'knex';

/**
 * `facts` are the rows of the table on a product's page: one a line, as `Peso: 780 g`. Null until they are first
 * filled in.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.schema.raw('alter table products add column facts text');
}

export async function down(knex: Knex): Promise<void> {
  await knex.schema.raw('alter table products drop column facts');
}
