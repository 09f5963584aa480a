import type { Knex } from 'knex';

/**
 * Makes PostgreSQL refuse to write to a table as it does when its disk is full.
 *
 * @returns makes room again
 */
export async function fillDisk(knex: Knex, table: string, writes = 'insert'): Promise<() => Promise<unknown>> {
  await knex.raw(`
    create or replace function no_space() returns trigger language plpgsql as $$ begin
      raise exception using errcode = 'disk_full', message = 'could not extend file: No space left on device';
    end $$;
    create trigger no_space before ${writes} on ${table} for each row execute function no_space()`);
  return () => knex.raw(`drop trigger no_space on ${table}`);
}
