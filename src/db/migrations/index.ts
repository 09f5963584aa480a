import type { Knex } from 'knex';
import * as shop from './0001-shop.ts';

/**
 * All migrations in their order. Knex remembers them by these names, which have no file extension: a database that
 * `dist/` migrated and one that `src/` migrated are the same.
 */
const migrations = new Map<string, Knex.Migration>([['0001-shop', shop]]);

/** Gives Knex the migrations from the program itself, not from a folder. */
export const migrationSource: Knex.MigrationSource<string> = {
  async getMigrations() {
    return [...migrations.keys()];
  },
  getMigrationName(name) {
    return name;
  },
  async getMigration(name) {
    const migration = migrations.get(name);
    if (!migration) throw new Error(`There is no migration ${name}`);
    return migration;
  },
};
