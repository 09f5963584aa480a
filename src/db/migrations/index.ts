import type { Knex } from 'knex';
import * as shop from './0001-shop.ts';
import * as fleet from './0003-fleet.ts';
import * as sessionCounts from './0004-session-counts.ts';

interface NamedMigration {
  readonly file: string;
  readonly migration: Knex.Migration;
}

/**
 * All migrations in their order. Knex remembers them by these names, which have no file extension: a database that
 * `dist/` migrated and one that `src/` migrated are the same.
 */
const migrations: NamedMigration[] = [
  { file: '0001-shop', migration: shop },
  { file: '0003-fleet', migration: fleet },
  { file: '0004-session-counts', migration: sessionCounts },
];

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
