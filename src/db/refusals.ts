import pg from 'pg';
import type { DatabaseConnection } from '../config.ts';
import { isNameTaken, lacksRight, reasonOf } from './failures.ts';

/** The setting that a refusal is about. */
type Part = 'password' | 'user' | 'name' | 'host' | 'TLS';

/** By the words of PostgreSQL, poolers, pg and OpenSSL; the first that fits. */
const PARTS: readonly (readonly [RegExp, readonly Part[]])[] = [
  [/pg_hba\.conf .*no encryption/, ['user', 'name', 'TLS']],
  [/pg_hba\.conf/, ['user', 'name']],
  [/password|SASL|SCRAM|authentication/i, ['password', 'user']],
  [/SSL|TLS|certificate|altname|self.signed/i, ['TLS']],
  [/database/i, ['name']],
  [/role|user/i, ['user']],
];
/** Where each is set: the variable beside `DB_HOST`, and the part of `DATABASE_URL`. */
const PLACES: Record<Part, readonly [variable: string, inUrl: string]> = {
  password: ['DB_PASSWORD', 'password'],
  user: ['DB_USER', 'user'],
  name: ['DB_NAME', 'database name'],
  host: ['DB_HOST', 'host'],
  TLS: ['PGSSLMODE', 'sslmode'],
};

/**
 * One sentence for a server that refuses a connection: its own words, and the variable to check.
 *
 * @param error for which `mayPass` is false
 */
export function refusal(error: unknown, connection: DatabaseConnection): string {
  const words = reasonOf(error);
  const parts = PARTS.find(([pattern]) => pattern.test(words))?.[1] ?? (['host'] as const);
  return `The database refuses: ${words}. Check ${placesOf(parts, connection)}.`;
}

/**
 * One sentence for a database in which the shop can't make its tables: PostgreSQL's own words, and what to do.
 *
 * @param error of a statement that changes the schema or the catalogue
 * @returns undefined for any other error
 */
export function schemaRefusal(
  error: unknown,
  { database, role }: { readonly database: string; readonly role: string },
  connection: DatabaseConnection,
): string | undefined {
  // Knex wraps the errors of a seed (knex/lib/migrations/seed/Seeder.js).
  const original = error instanceof Error && 'original' in error ? error.original : error;
  if (!(original instanceof pg.DatabaseError)) return undefined;
  // Knex puts the statement in front (knex/lib/execution/internal/query-executioner.js).
  const words = original.message.split(' - ').at(-1);
  if (lacksRight(original)) {
    const owner = `alter database ${pg.escapeIdentifier(database)} owner to ${pg.escapeIdentifier(role)}`;
    return `The database refuses: ${words}. The role ${role} must own the database ${database} and the tables of the shop in it: ${owner}; or set ${placesOf(['user'], connection)} to the role that does.`;
  }
  if (isNameTaken(original)) {
    return `The database ${database} holds what another program or another role has made: ${words}. Set ${placesOf(['name'], connection)} to a database of the shop's own, or ${placesOf(['user'], connection)} to the role that owns the shop's tables.`;
  }
  return undefined;
}

function placesOf(parts: readonly Part[], connection: DatabaseConnection): string {
  return 'url' in connection
    ? `the ${parts.map((part) => PLACES[part][1]).join(' and the ')} in DATABASE_URL`
    : parts.map((part) => PLACES[part][0]).join(' and ');
}

/** The variable that leads to the server. */
export function variableOf(connection: DatabaseConnection): string {
  return 'url' in connection ? 'DATABASE_URL' : 'DB_HOST';
}
