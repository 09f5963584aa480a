import type { PaymentGateway } from '../payments/gateway.ts';
import type { Route } from '../shop/route.ts';
import { FAULT_NAMES, type FaultName, type FaultsLeft } from './names.ts';
import { wrapPayments } from './payments.ts';
import { createRouteFaults } from './routes.ts';
import { beginBlocking, beginHanging, crashSoon } from './threads.ts';

/** The faults of a worker's main thread are in one worker alone, so that the others show how it should be. */
const PLACE = 1;

/** The half of the rehearsed faults that is in a worker. */
export interface WorkerFaults {
  /** Takes what the primary says: these faults are on, and all others off. */
  take(left: FaultsLeft): void;
  wrapRoutes(routes: readonly Route[]): readonly Route[];
  wrapPayments(payments: PaymentGateway): PaymentGateway;
  /** Ends all faults. */
  stop(): void;
}

/** @param place of this worker */
export function createWorkerFaults(place: number): WorkerFaults {
  /** What ends each fault that is on. */
  const running = new Map<FaultName, () => void>();
  const isOn = (name: FaultName) => running.has(name);
  const routes = createRouteFaults(isOn);

  function begin(name: FaultName, leftMs: number): () => void {
    if (place === PLACE) {
      if (name === 'blocked_loop') return beginBlocking();
      if (name === 'worker_hang') return beginHanging(leftMs);
      if (name === 'worker_crash') return crashSoon();
    }
    return () => {};
  }

  function take(left: FaultsLeft): void {
    for (const name of FAULT_NAMES) {
      const leftMs = left[name];
      const end = running.get(name);
      if (leftMs !== undefined && !end) running.set(name, begin(name, leftMs));
      else if (leftMs === undefined && end) {
        running.delete(name);
        end();
        routes.ended(name);
      }
    }
  }

  return {
    take,
    wrapRoutes: routes.wrap,
    wrapPayments: (payments) => wrapPayments(payments, isOn),
    stop: () => take({}),
  };
}
