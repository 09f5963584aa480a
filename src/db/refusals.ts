import pg from 'pg';
import type { DatabaseConnection } from '../config.ts';

/** The network's errors that a server or a name that is still coming up gives. */
const NOT_YET = new Set([
  'EAGAIN',
  'EAI_AGAIN',
  'ECONNABORTED',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTDOWN',
  'EHOSTUNREACH',
  'ENETDOWN',
  'ENETUNREACH',
  'ENOENT', // the server's Unix socket
  'ENOTFOUND',
  'EPIPE',
  'ETIMEDOUT',
]);
/** Classes of SQLSTATE that pass: connection exception, insufficient resources, operator intervention (starting up). */
const PASSING_CLASSES = /^(08|53|57)/;
const PROTOCOL_VIOLATION = '08P01';
/** pgbouncer says everything under one SQLSTATE, also what passes. */
const POOLER_WAITS =
  /cannot connect|login has been failing|no more connections|timeout|shutting down|pause|starting up|crash|closed|lost/i;
/** What pg says, without a code, of a server that does not answer yet. */
const NO_ANSWER = /timeout|Connection terminated/;

/** Whether an error of a new connection may be gone in a moment, as the server is still starting. */
export function mayPass(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  if (code === undefined) return NO_ANSWER.test(error.message);
  if (!(error instanceof pg.DatabaseError)) return NOT_YET.has(code);
  return code === PROTOCOL_VIOLATION ? POOLER_WAITS.test(error.message) : PASSING_CLASSES.test(code);
}

/** What a refusal is about. */
type Part = 'password' | 'user' | 'name' | 'host' | 'TLS';

/** By what PostgreSQL, poolers, pg and OpenSSL say; the first that fits. */
const PARTS: readonly (readonly [RegExp, readonly Part[]])[] = [
  [/pg_hba\.conf .*no encryption/, ['user', 'name', 'TLS']],
  [/pg_hba\.conf/, ['user', 'name']],
  [/password|SASL|SCRAM|authentication/i, ['password', 'user']],
  [/SSL|TLS|certificate|altname|self.signed/i, ['TLS']],
  [/database/i, ['name']],
  [/role|user/i, ['user']],
];
/** Where each is written, in `DB_HOST` and its like, and in `DATABASE_URL`. */
const PLACES: Record<Part, readonly [variable: string, inUrl: string]> = {
  password: ['DB_PASSWORD', 'password'],
  user: ['DB_USER', 'user'],
  name: ['DB_NAME', 'database name'],
  host: ['DB_HOST', 'host'],
  TLS: ['PGSSLMODE', 'sslmode'],
};

/**
 * One sentence for a server that refuses a connection: its own words, and which variable to look at.
 *
 * @param error for which {@link mayPass} is false
 */
export function refusal(error: unknown, connection: DatabaseConnection): string {
  const words = reasonOf(error);
  const parts = PARTS.find(([pattern]) => pattern.test(words))?.[1] ?? (['host'] as const);
  return `The database refuses: ${words}. Check ${placesOf(parts, connection)}.`;
}

/** SQLSTATEs `insufficient_privilege`, and `invalid_schema_name`: of no schema may this role know. */
const LACKS_RIGHT = new Set(['42501', '3F000']);
/** SQLSTATEs `duplicate_table`, `duplicate_object`, `duplicate_function`. */
const NAME_TAKEN = new Set(['42P07', '42710', '42723']);

/**
 * One sentence for a database in which the shop can't make what it needs: PostgreSQL's own words, and what to do.
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
  const { code = '' } = original;
  // Knex puts the statement in front (knex/lib/execution/internal/query-executioner.js).
  const words = original.message.split(' - ').at(-1);
  if (LACKS_RIGHT.has(code)) {
    const owner = `alter database ${pg.escapeIdentifier(database)} owner to ${pg.escapeIdentifier(role)}`;
    return `The database refuses: ${words}. The role ${role} must own the database ${database} and the tables of the shop in it: ${owner}; or set ${placesOf(['user'], connection)} to the role that does.`;
  }
  if (NAME_TAKEN.has(code)) {
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

/** What an error says; one that holds several, as of a name with two addresses, has no words of its own. */
export function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return reasonOf(error.errors[0]);
  return error instanceof Error ? error.message || String(error) : String(error);
}
