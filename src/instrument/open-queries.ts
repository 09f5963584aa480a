import type { WorkerMetrics } from './metrics.ts';
import type { DbOperation } from './operations.ts';
import { currentRequest, type RequestClock } from './request-clock.ts';

interface OpenQuery extends DbOperation {
  readonly startedMs: number;
  readonly request: RequestClock | undefined;
}

/** Key of a statement that Knex sends without a builder; a connection runs one of them at a time. */
export const NO_BUILDER = '';

/** The queries that have been sent and not yet answered, by connection. */
export class OpenQueries {
  readonly #duration: WorkerMetrics['dbOperationDuration'];
  readonly #byConnection = new Map<string, Map<string, OpenQuery>>();

  /** @param duration observes each query once, in seconds */
  constructor(duration: WorkerMetrics['dbOperationDuration']) {
    this.#duration = duration;
  }

  /** A query is sent, for the current request if there is one. */
  sent(connection: string, key: string, { operation, table }: DbOperation): void {
    const request = currentRequest();
    const startedMs = performance.now();
    request?.begin('db', startedMs);
    let queries = this.#byConnection.get(connection);
    if (!queries) {
      queries = new Map();
      this.#byConnection.set(connection, queries);
    }
    queries.set(key, { operation, table, startedMs, request });
  }

  /** A query has its answer, or has failed. */
  answered(connection: string, key: string): void {
    const queries = this.#byConnection.get(connection);
    const query = queries?.get(key);
    if (!query) return;
    queries?.delete(key);
    this.#observe(query);
  }

  /** A connection goes back to the pool: nobody waits any more for what is still open on it. */
  released(connection: string): void {
    const queries = this.#byConnection.get(connection);
    if (!queries) return;
    this.#byConnection.delete(connection);
    for (const query of queries.values()) this.#observe(query);
  }

  #observe({ operation, table, startedMs, request }: OpenQuery): void {
    const now = performance.now();
    request?.end('db', now);
    this.#duration.observe({ operation, table }, (now - startedMs) / 1000);
  }
}
