import { queryLabels } from '../db/named.ts';
import { type DbOperation, NO_TABLE } from './operations.ts';

/** Knex's names for what its builders send (knex/lib/query/querybuilder.js, `_method`). */
const OPERATIONS: Record<string, string> = {
  select: 'select',
  first: 'select',
  pluck: 'select',
  columnInfo: 'select',
  insert: 'insert',
  update: 'update',
  del: 'delete',
  truncate: 'truncate',
  raw: 'raw',
};
/** A select that takes rows for its transaction: its time is mostly a wait for those who have them. */
const LOCK_OPERATION = 'lock';
/** Schema changes and whatever else Knex may send. */
export const OTHER_OPERATION = 'other';

/**
 * Labels of a query, from its builder: joins and sub-queries count for the main table; a raw query carries
 * its own labels, else it is `raw` of no table. SQL text is never looked at.
 *
 * @param builder Knex's query builder, raw query or schema builder
 * @param method as Knex's `query` event tells it
 */
export function builderLabels(builder: object, method: string | undefined): DbOperation {
  return (
    queryLabels(builder) ?? {
      operation: isLock(builder) ? LOCK_OPERATION : (OPERATIONS[method ?? ''] ?? OTHER_OPERATION),
      table: tableName(builder),
    }
  );
}

/** Whether it ends in `for update` or the like (knex/lib/query/querybuilder.js, `forUpdate`). */
function isLock(builder: object): boolean {
  const { _single } = builder as { _single?: { lock?: string } };
  return _single?.lock !== undefined;
}

/** Everything that Knex takes for a table: a name, `{ alias: name }`, a reference, a sub-query. */
function tableName(source: unknown): string {
  if (typeof source === 'string') return bareName(source);
  if (typeof source !== 'object' || source === null) return NO_TABLE;
  const { _single, ref, isRawInstance } = source as {
    _single?: { table?: unknown };
    ref?: unknown;
    isRawInstance?: boolean;
  };
  if (_single) return tableName(_single.table);
  if (typeof ref === 'string') return bareName(ref);
  if (isRawInstance) return queryLabels(source)?.table ?? NO_TABLE;
  return Object.getPrototypeOf(source) === Object.prototype ? tableName(Object.values(source)[0]) : NO_TABLE;
}

/** `public.products as p`, in Knex's own notation, is `products`. */
function bareName(name: string): string {
  const aliasAt = name.toLowerCase().indexOf(' as ');
  const qualified = (aliasAt === -1 ? name : name.slice(0, aliasAt)).trim();
  return qualified.slice(qualified.lastIndexOf('.') + 1);
}
