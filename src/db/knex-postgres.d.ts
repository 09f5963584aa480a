/**
 * The part of the PostgreSQL dialect that is used here. Knex has no types for it (knex/lib/dialects/postgres/index.js).
 */
declare module 'knex/lib/dialects/postgres/index.js' {
  import { knex } from 'knex';
  import type pg from 'pg';

  export interface SentQuery {
    readonly sql: string;
    readonly bindings?: readonly unknown[];
    /** For pg's `query` (pg/lib/query.js). */
    readonly options?: Readonly<Record<string, unknown>>;
  }

  export default class PostgresDialect extends knex.Client {
    acquireConnection(): Promise<pg.Client>;
    acquireRawConnection(): Promise<pg.Client>;
    _query(connection: pg.Client, query: SentQuery): Promise<SentQuery>;
  }
}
