/** What is used here of the PostgreSQL dialect, which Knex has no types for (knex/lib/dialects/postgres/index.js). */
declare module 'knex/lib/dialects/postgres/index.js' {
  import { knex } from 'knex';
  import type pg from 'pg';

  interface SentQuery {
    readonly sql: string;
  }

  export default class PostgresDialect extends knex.Client {
    acquireRawConnection(): Promise<pg.Client>;
    _query<Sent extends SentQuery>(connection: pg.Client, query: Sent): Promise<Sent>;
  }
}
