import type { Knex } from 'knex';

/** Labels of a query in `shop_db_operation_duration_seconds`. */
export interface QueryLabels {
  readonly operation: string;
  readonly table: string;
}

/** Label `table` of a query that reads no table, such as a transaction's begin and commit. */
export const NO_TABLE = 'none';

/**
 * Labels a raw query, so that no code has to parse SQL. Knex's builders need no labels: their table can be read.
 *
 * @param operation a constant, such as `select`
 * @param table the main table, or {@link NO_TABLE}
 * @returns the same query
 */
export function labelQuery<Query extends Knex.Raw>(query: Query, operation: string, table: string): Query {
  const labels: QueryLabels = { operation, table };
  query.queryContext({ ...query.queryContext(), labels });
  return query;
}

/** The labels that {@link labelQuery} gave; `undefined` for every other query or builder of Knex. */
export function queryLabels(query: object): QueryLabels | undefined {
  if (!('queryContext' in query) || typeof query.queryContext !== 'function') return undefined;
  const context: { labels?: QueryLabels } | undefined = query.queryContext();
  return context?.labels;
}
