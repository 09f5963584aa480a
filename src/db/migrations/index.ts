import type { Knex } from 'knex';
import * as shop from './0001-shop.ts';

interface NamedMigration {
  readonly file: string;
  readonly migration: Knex.Migration;
}

/**
 * All migrations in their order. Knex remembers them by these names, which have no file extension: a database that
 * `dist/` migrated and one that `src/` migrated are the same.
 */
const migrations: NamedMigration[] = [{ file: '0001-shop', migration: shop }];

/** Gives Knex the migrations from the program itself, not from a folder. */
export const migrationSource: Knex.MigrationSource<NamedMigration> = {
  async getMigrations() {
    return migrations;
  },
  getMigrationName({ file }) {
    return file;
  },
  async getMigration({ migration }) {
    return migration;
  },
};
