/** One kind of database operation, as `shop_db_operation_duration_seconds` labels it. */
export interface DbOperation {
  readonly operation: string;
  readonly table: string;
}

/** Label `table` of an operation that has none, as a transaction's begin and commit. */
export const NO_TABLE = 'none';

const TABLES: Record<string, readonly string[]> = {
  select: ['sessions', 'categories', 'products', 'carts', 'orders', 'order_items', NO_TABLE],
  insert: ['rate_limits', 'sessions', 'cart_items', 'orders', 'payments'],
  update: ['cart_items', 'payments'],
  lock: ['products'],
  delete: ['cart_items'],
  begin: [NO_TABLE],
  commit: [NO_TABLE],
  rollback: [NO_TABLE],
};

/**
 * What the shop's code does with its tables, so that each series is there before its first query. One that is
 * missing here gets its series when it first runs.
 */
export const SHOP_OPERATIONS: readonly DbOperation[] = Object.entries(TABLES).flatMap(([operation, names]) =>
  names.map((table) => ({ operation, table })),
);
