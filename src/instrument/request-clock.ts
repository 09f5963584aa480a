import { AsyncLocalStorage } from 'node:async_hooks';
import type { Spent } from './label-values.ts';

/** What a request waits for. */
type Wait = Exclude<Spent, 'app'>;

/**
 * Splits one request's time, each moment counted once: queries that overlap are not counted twice, so the parts
 * add up to the whole. A moment with a query under way is `db`; else, with a wait for a pool connection, `db_wait`;
 * else, with a wait for the payment provider, `payment`; the rest is `app`.
 */
export class RequestClock {
  readonly #startedMs = performance.now();
  #chargedMs = this.#startedMs;
  #isStopped = false;
  #queries = 0;
  #waits = 0;
  #payments = 0;
  #dbMs = 0;
  #dbWaitMs = 0;
  #paymentMs = 0;

  /** @param now a reading of `performance.now()`, where the caller has one already */
  begin(wait: Wait, now = performance.now()): void {
    this.#charge(now);
    this.#count(wait, 1);
  }

  /** @param now as for `begin` */
  end(wait: Wait, now = performance.now()): void {
    this.#charge(now);
    this.#count(wait, -1);
  }

  /** Ends the request; queries that still run are charged until now, and not beyond. */
  stop(): void {
    this.#charge(performance.now());
    this.#isStopped = true;
  }

  /** Seconds from the request's start until its stop. */
  get totalSeconds(): number {
    return ((this.#isStopped ? this.#chargedMs : performance.now()) - this.#startedMs) / 1000;
  }

  /** Seconds of each part until now, or until the stop; they add up to `totalSeconds`, and none is negative. */
  get split(): Record<Spent, number> {
    if (!this.#isStopped) this.#charge(performance.now());
    const total = this.totalSeconds;
    const db = this.#dbMs / 1000;
    const dbWait = this.#dbWaitMs / 1000;
    const payment = this.#paymentMs / 1000;
    return { app: Math.max(0, total - db - dbWait - payment), db, db_wait: dbWait, payment };
  }

  #count(wait: Wait, change: 1 | -1): void {
    if (wait === 'db') this.#queries += change;
    else if (wait === 'db_wait') this.#waits += change;
    else this.#payments += change;
  }

  #charge(now: number): void {
    if (this.#isStopped) return;
    const elapsed = now - this.#chargedMs;
    this.#chargedMs = now;
    if (this.#queries > 0) this.#dbMs += elapsed;
    else if (this.#waits > 0) this.#dbWaitMs += elapsed;
    else if (this.#payments > 0) this.#paymentMs += elapsed;
  }
}

/** What a wait is charged to: one request, or a group of them. */
export type Clock = Pick<RequestClock, 'begin' | 'end'>;

/** Requests that share a statement, or wait for one. Each is charged with its waits while it is in the group. */
export class ClockGroup implements Clock {
  readonly #clocks: Set<Clock>;
  /** The waits that have begun and not ended. */
  readonly #open: Wait[] = [];

  constructor(clocks: Iterable<Clock> = []) {
    this.#clocks = new Set(clocks);
  }

  add(clock: Clock): void {
    this.#clocks.add(clock);
    for (const wait of this.#open) clock.begin(wait);
  }

  delete(clock: Clock): void {
    if (!this.#clocks.delete(clock)) return;
    for (const wait of this.#open) clock.end(wait);
  }

  begin(wait: Wait, now = performance.now()): void {
    this.#open.push(wait);
    for (const clock of this.#clocks) clock.begin(wait, now);
  }

  end(wait: Wait, now = performance.now()): void {
    this.#open.splice(this.#open.indexOf(wait), 1);
    for (const clock of this.#clocks) clock.end(wait, now);
  }
}

const clocks = new AsyncLocalStorage<Clock>();
/** Works that `clocks` follows. */
let followed = 0;

/**
 * Runs the part of a request's work that may query the database or pay: `currentRequest` finds the clock in everything
 * that this work calls.
 *
 * A request from memory does without, and while no request is followed, the storage is off: in Node.js 20, it makes each
 * promise of the process slower.
 */
export async function withRequestClock<T>(clock: Clock, work: () => Promise<T>): Promise<T> {
  followed += 1;
  try {
    return await clocks.run(clock, work);
  } finally {
    followed -= 1;
    if (followed === 0) clocks.disable();
  }
}

/** The clock of the request that the caller works for; undefined outside of `withRequestClock`. */
export function currentRequest(): Clock | undefined {
  return clocks.getStore();
}

/** Charges the current request with the time of some work as a wait. */
export async function duringWait<T>(wait: Wait, work: () => Promise<T>): Promise<T> {
  const request = currentRequest();
  request?.begin(wait);
  try {
    return await work();
  } finally {
    request?.end(wait);
  }
}
