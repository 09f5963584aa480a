import { AsyncLocalStorage } from 'node:async_hooks';

/** Where a request's time goes, label `spent` of `shop_request_time_seconds_total`. */
export const SPENT = ['app', 'db', 'db_wait', 'payment'] as const;
type Spent = (typeof SPENT)[number];

/** Waits of a request for the database. */
type Wait = 'db' | 'db_wait';

/**
 * Splits one request's time, each moment counted once: queries that overlap are not counted twice, so the parts
 * add up to the whole. A moment with a query under way is `db`; else, with a wait for a pool connection, `db_wait`;
 * the rest is `app`.
 */
export class RequestClock {
  readonly #startedMs = performance.now();
  #chargedMs = this.#startedMs;
  #queries = 0;
  #waits = 0;
  #dbMs = 0;
  #dbWaitMs = 0;
  #paymentMs = 0;
  #stoppedMs: number | undefined;

  /** @param now a reading of `performance.now()`, where the caller has one already */
  begin(wait: Wait, now = performance.now()): void {
    this.#charge(now);
    if (wait === 'db') this.#queries += 1;
    else this.#waits += 1;
  }

  /** @param now as for `begin` */
  end(wait: Wait, now = performance.now()): void {
    this.#charge(now);
    if (wait === 'db') this.#queries -= 1;
    else this.#waits -= 1;
  }

  /** Moves seconds from the app's part to that of the payment provider. */
  addPayment(seconds: number): void {
    this.#paymentMs += seconds * 1000;
  }

  /** Ends the request; queries that still run are charged until now, and not beyond. */
  stop(): void {
    this.#charge(performance.now());
    this.#stoppedMs = this.#chargedMs;
  }

  /** Seconds from the request's start until its stop. */
  get totalSeconds(): number {
    return ((this.#stoppedMs ?? performance.now()) - this.#startedMs) / 1000;
  }

  /** Seconds of each part until now, or until the stop; they add up to `totalSeconds`, and none is negative. */
  get split(): Record<Spent, number> {
    this.#charge(performance.now());
    const total = this.totalSeconds;
    const db = this.#dbMs / 1000;
    const dbWait = this.#dbWaitMs / 1000;
    const rest = Math.max(0, total - db - dbWait);
    const payment = Math.min(this.#paymentMs / 1000, rest);
    return { app: rest - payment, db, db_wait: dbWait, payment };
  }

  #charge(now: number): void {
    if (this.#stoppedMs !== undefined) return;
    const elapsed = now - this.#chargedMs;
    this.#chargedMs = now;
    if (this.#queries > 0) this.#dbMs += elapsed;
    else if (this.#waits > 0) this.#dbWaitMs += elapsed;
  }
}

const clocks = new AsyncLocalStorage<RequestClock>();

/** Runs a request's work; `currentRequest` finds the clock in everything that the work calls. */
export function withRequestClock<T>(clock: RequestClock, work: () => T): T {
  return clocks.run(clock, work);
}

/** The clock of the request that the caller works for; undefined outside of requests. */
export function currentRequest(): RequestClock | undefined {
  return clocks.getStore();
}

/** Charges the current request with a wait for the payment provider, in seconds. */
export function recordPayment(seconds: number): void {
  currentRequest()?.addPayment(seconds);
}
