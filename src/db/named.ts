import type { Knex } from 'knex';

/** How the metrics tell a query: `shop_db_operation_duration_seconds{operation, table}`. */
export interface QueryLabels {
  readonly operation: string;
  readonly table: string;
}

/**
 * Gives a raw query the labels that Knex's builders have by themselves, so that nobody has to parse SQL.
 *
 * @param operation a constant of the code, as `select`
 * @param table the main table
 * @returns the same query
 */
export function named<Query extends Knex.Raw>(query: Query, operation: string, table: string): Query {
  const labels: QueryLabels = { operation, table };
  query.queryContext({ ...query.queryContext(), labels });
  return query;
}

/** The labels that {@link named} gave; `undefined` for every other query or builder of Knex. */
export function queryLabels(query: object): QueryLabels | undefined {
  if (!('queryContext' in query) || typeof query.queryContext !== 'function') return undefined;
  const context: { labels?: QueryLabels } | undefined = query.queryContext();
  return context?.labels;
}
