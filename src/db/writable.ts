import type { Knex } from 'knex';
import { labelQuery, NO_TABLE } from './query-labels.ts';

/**
 * Asks whether the server takes writes, without writing: fails as a write would, with SQLSTATE 25006, on a hot standby and
 * under `default_transaction_read_only`. So the pool replaces the connection (connect.ts).
 */
export async function askWritable(database: Knex): Promise<void> {
  await labelQuery(
    database.raw(`
      do $$ begin
        if current_setting('transaction_read_only')::boolean then
          raise read_only_sql_transaction using message = 'the server takes no writes';
        end if;
      end $$`),
    'select',
    NO_TABLE,
  );
}
