import type { FaultsLeft } from '../faults/names.ts';

/** Messages of a worker to the primary. */
export type WorkerMessage =
  | { type: 'serving'; port: number }
  | { type: 'draining' }
  /** Sent every second, so that a hang shows. */
  | { type: 'alive' }
  /**
   * It has counted how an order ended, and settles the payment next. If it dies before, the primary does not count
   * again.
   */
  | { type: 'order_counted'; reference: string }
  | { type: 'payment_settled'; reference: string }
  /** It can't serve, and exits next. `final`: another try fails alike, as on a taken port. */
  | { type: 'failed'; reason: string; final: boolean };

/** Messages of the primary to a worker. */
export type PrimaryMessage =
  /** Say that you are not ready any more, so that balancers choose others, but serve on. */
  | { type: 'unready' }
  /** Finish the requests in flight, accept no more, exit. */
  | { type: 'drain' }
  /** These rehearsed faults are on, and no others; only where `FAULTS` allows them. */
  | { type: 'faults'; left: FaultsLeft };

/** Data for a worker at its fork, beside the configuration in the environment. */
export interface Assignment {
  /** 1 to `WORKERS`; a replacement takes its predecessor's place. */
  place: number;
  /** Id of this life of the instance. With its pid, it names a worker among all that have ever asked for a payment. */
  instance: string;
  /** Folder of the metrics store files of this instance. */
  storeDirectory: string;
  /** The primary's own `/metrics`. */
  metricsUrl: string;
}

/** Name of a worker in the ledger of payments. */
export function workerName(instance: string, pid: number): string {
  return `${instance}/${pid}`;
}

export function instanceOf(worker: string): string {
  return worker.slice(0, worker.lastIndexOf('/'));
}

const VARIABLE = 'FAKE_SHOP_ASSIGNMENT';

/** As an environment variable, since a worker needs it before the first message could come. */
export function writeAssignment(assignment: Assignment): NodeJS.ProcessEnv {
  return { [VARIABLE]: JSON.stringify(assignment) };
}

export function readAssignment(environment: NodeJS.ProcessEnv): Assignment {
  const text = environment[VARIABLE];
  if (text === undefined)
    throw new Error('A worker is only ever started by the primary: run the program without node:cluster variables');
  return JSON.parse(text) as Assignment;
}
