/** The answer of `GET /status`. */
export interface Status {
  primary: { pid: number; startedAt: string; version: string };
  workers: Array<{ worker: number; pid: number | null; state: string; startedAt: string | null; restarts: number }>;
  database: { embedded: boolean; up: boolean };
}
