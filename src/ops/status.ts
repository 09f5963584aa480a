import type { WorkerState } from '../instrument/primary-metrics.ts';

/** The answer of `GET /status`. */
export interface Status {
  primary: { pid: number; startedAt: string; version: string };
  workers: WorkerStatus[];
  database: { embedded: boolean; up: boolean };
}

/** One place of the cluster. */
export interface WorkerStatus {
  /** Place number, 1 to `WORKERS`. */
  worker: number;
  pid: number | null;
  state: WorkerState;
  /** ISO 8601, of the process that holds the place now. */
  startedAt: string | null;
  /** How many processes held this place before. */
  restarts: number;
}
