import type { Knex } from 'knex';
import * as catalogue from '../../seeds/index.ts';
import { StartError } from '../start-error.ts';
import * as shop from './migrations/0001-shop.ts';
import * as payments from './migrations/0002-payments.ts';
import * as fleet from './migrations/0003-fleet.ts';
import * as sessionCounts from './migrations/0004-session-counts.ts';
import * as storeOrder from './migrations/0005-store-order.ts';
import * as installments from './migrations/0006-installments.ts';
import * as pix from './migrations/0007-pix.ts';
import * as productFacts from './migrations/0008-product-facts.ts';

/**
 * Key of the advisory lock that every change of the shop's schema takes: any number that no other program uses. A
 * starting shop holds the lock alone; knex's command line shares it, since Knex keeps its own commands apart. It is
 * held for a transaction, because a pooler gives the connection of a session to others.
 */
export const SCHEMA_LOCK = 72_667_463;

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
  { file: '0002-payments', migration: payments },
  { file: '0003-fleet', migration: fleet },
  { file: '0004-session-counts', migration: sessionCounts },
  { file: '0005-store-order', migration: storeOrder },
  { file: '0006-installments', migration: installments },
  { file: '0007-pix', migration: pix },
  { file: '0008-product-facts', migration: productFacts },
];

/** Begins the name of every release's migrations. */
const NUMBERED = /^\d+[-_]/;

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

/** Whether a later release has migrated the database further. */
export function isNewer(applied: readonly string[]): boolean {
  return unknownOf(applied).length > 0;
}

/**
 * The migrations for a database that may be newer. It names the migrations of later releases too, so that Knex finds
 * its list complete; this release can't roll them back.
 *
 * @param applied names that Knex has noted in the database
 * @throws {StartError} when no later release leaves such a list: it has migrations between this release's, or lacks
 *   some
 */
export function migrationsFor(applied: readonly string[]): Knex.MigrationSource<NamedMigration> {
  const unknown = unknownOf(applied);
  const last = migrations.at(-1)?.file ?? '';
  const between = unknown.filter((name) => name < last || !NUMBERED.test(name));
  const missing = unknown.length > 0 ? migrations.filter(({ file }) => !applied.includes(file)) : [];
  if (between.length > 0 || missing.length > 0) {
    const lacks = missing.length > 0 ? ` and lacks ${missing.map(({ file }) => file).join(', ')}` : '';
    throw new StartError(
      `The database was not migrated by this release or a later one: it has ${unknown.join(', ')}${lacks}. Run the release that made it, or look into its table knex_migrations.`,
    );
  }
  return {
    ...migrationSource,
    async getMigrations() {
      return [...migrations, ...unknown.map((file) => ({ file, migration: migrationOfLaterRelease(file) }))];
    },
  };
}

function unknownOf(applied: readonly string[]): string[] {
  return applied.filter((name) => !migrations.some(({ file }) => file === name));
}

function migrationOfLaterRelease(file: string): Knex.Migration {
  async function refuse(): Promise<never> {
    throw new Error(`${file} is of a later release: migrate with that one`);
  }
  return { up: refuse, down: refuse };
}

/** All seeds in their order, by name. */
const seeds = new Map<string, Knex.Seed>([['catalogue', catalogue]]);

/** Gives Knex the seeds from the program itself, not from a folder. */
export const seedSource: Knex.SeedSource<string> = {
  async getSeeds() {
    return [...seeds.keys()];
  },
  async getSeed(name) {
    const seed = seeds.get(name);
    if (!seed) throw new Error(`There is no seed ${name}`);
    return seed;
  },
};
