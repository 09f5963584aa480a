import type { Deadlines } from './connect.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;

/**
 * PostgreSQL's advisory lock of everyone who changes the shop's schema; any number that nobody else uses. A starting
 * shop holds it alone; knex's command line shares it, since Knex keeps its own commands apart. Held for a transaction, as
 * a pooler gives the session's connection to others.
 */
export const SCHEMA_LOCK = 72_667_463;

/** Changing a schema may take longer than a page can wait. */
export const SCHEMA_DEADLINES: Deadlines = {
  acquire: 30 * SECOND,
  connect: 5 * SECOND,
  statement: 5 * MINUTE,
  answer: 5 * MINUTE,
  idleInTransaction: 5 * MINUTE,
};
