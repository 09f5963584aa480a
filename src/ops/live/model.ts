/*
 * What the live page shows, shared by the primary, which computes it, and by the browser, which draws it. This file and
 * everything it imports run in both.
 */

import type { FaultName } from '../../faults/names.ts';
import type { Bins } from './bins.ts';

/**
 * Names one number of the page by the PromQL that gives it.
 *
 * A number straight from `/metrics` has the key of its series: `shop_active_sessions`, or
 * `shop_errors_total{route="/cart",type="validation"}` with the labels by the alphabet. Labels that are left out are summed
 * over. Other numbers have an expression: `increase(shop_orders_total{outcome="paid"}[1h])`.
 */
export type Key = string;

/** A number by its key; null where `/metrics` says NaN, or nothing was measured in the window. */
export type Values = Readonly<Record<Key, number | null>>;

export const LAMPS = ['code', 'database', 'payment', 'machine'] as const;
export type LampName = (typeof LAMPS)[number];
export type Level = 'good' | 'warning' | 'bad' | 'unknown';

/** One of the four answers to "why does it hang?". */
export interface Lamp {
  readonly name: LampName;
  readonly level: Level;
  /** Which rule lit it, a key of the texts; empty while nothing is wrong. */
  readonly rule: string;
  /** The operation, table, route or worker that is to blame, in the metrics' words; empty for none. */
  readonly blame: string;
  /** The numbers that the rule compared, for the sentence. */
  readonly numbers: Readonly<Record<string, number>>;
  /** Heading of `docs/operations.md` as its anchor, `a-checkout-hangs`; empty for none. */
  readonly runbook: string;
}

/** The page's first sentence. Its text is made of `rule` and `numbers`, in the reader's language. */
export interface Verdict {
  readonly level: Level;
  readonly rule: string;
  readonly blame: string;
  readonly numbers: Readonly<Record<string, number>>;
  readonly runbook: string;
}

/** A place of the cluster, as in `GET /status`. */
export interface WorkerRow {
  readonly worker: number;
  readonly pid: number | null;
  readonly state: 'starting' | 'serving' | 'draining' | 'down';
  /** ISO 8601. */
  readonly startedAt: string | null;
  readonly restarts: number;
}

/** A kind of error that is not zero. */
export interface ErrorRow {
  /** Series of a counter: its value is among the values by this key. */
  readonly key: Key;
  /** Milliseconds since 1970 of the last growth. */
  readonly lastAt: number;
  readonly runbook: string;
}

/** A statement that waits for a lock in the database, and the session that it waits for. Statements are without values. */
export interface LockWaitRow {
  readonly waiting: {
    /** `application_name`: of the shop's own sessions, the process and its host. */
    readonly application: string;
    readonly statement: string;
    readonly seconds: number;
  };
  readonly blocking: {
    /** Process of PostgreSQL; 0 for a prepared transaction. */
    readonly pid: number;
    readonly application: string;
    /** `active`, `idle in transaction`, …; empty where PostgreSQL hides it, as for another role's session. */
    readonly state: string;
    /** Its current or last statement, not always the one that took the lock; empty where PostgreSQL hides it. */
    readonly statement: string;
    /** Age of its transaction; null where PostgreSQL hides it. */
    readonly seconds: number | null;
  };
}

/** A rehearsed fault that is on. */
export interface FaultRow {
  readonly name: FaultName;
  /** Milliseconds since 1970, by the primary's clock. */
  readonly endsAt: number;
}

/** What happened to the cluster, drawn into the charts. */
export interface Mark {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly kind: 'restart' | 'reload' | 'fault_begin' | 'fault_end';
  /** Of a restart: the worker and the reason, `2, signal`. Of a rehearsed fault: its name. Empty for a reload. */
  readonly what: string;
}

/** Everything that changes by the second. */
export interface Frame {
  /** Milliseconds since 1970, by the primary's clock. */
  readonly at: number;
  readonly values: Values;
  readonly verdict: Verdict;
  readonly lamps: readonly Lamp[];
  readonly workers: readonly WorkerRow[];
  readonly errors: readonly ErrorRow[];
  /** The longest first, five at most. */
  readonly lockWaits: readonly LockWaitRow[];
  /** The rehearsed faults that are on; always empty without `FAULTS=true`. */
  readonly faults: readonly FaultRow[];
  /** Programs that keep no cookies make most of the visits. */
  readonly burst: boolean;
}

/** What rarely changes. The page is rendered again when `version` changes. */
export interface Structure {
  readonly version: number;
  readonly primary: { readonly version: string; readonly pid: number; readonly startedAt: string };
  readonly database: { readonly embedded: boolean };
  /** Address of the shop, for a program on this machine. */
  readonly shop: string;
  /** `picture` is a path on the primary's server. */
  readonly products: readonly { readonly slug: string; readonly name: string; readonly picture: string }[];
  /** Templates of the shop's routes, `unmatched` last. */
  readonly routes: readonly string[];
  /** Number of places. */
  readonly workers: number;
  /** The faults that can be rehearsed; empty without `FAULTS=true`. */
  readonly faults: readonly FaultName[];
}

/**
 * Events of `GET /live/stream` (`text/event-stream`), the data as JSON:
 * `hello` first: the structure, and a whole frame; `frame` each second: `values` holds those alone that changed since the
 * last frame, every other field only if it changed; `structure` when it has changed; `mark` when something happened.
 */
export interface Hello {
  readonly structure: Structure;
  readonly frame: Frame;
}
export type FrameChange = Pick<Frame, 'at' | 'values'> & Partial<Frame>;

export const SPANS = ['5m', '1h', '6h'] as const;
export type Span = (typeof SPANS)[number];
/** The length of each span, and the time between two of its points. */
export const SPAN_SHAPES: Readonly<Record<Span, { readonly lengthMs: number; readonly stepMs: number }>> = {
  '5m': { lengthMs: 300_000, stepMs: 1_000 },
  '1h': { lengthMs: 3_600_000, stepMs: 15_000 },
  '6h': { lengthMs: 21_600_000, stepMs: 60_000 },
};

/** `GET /live/course?span=5m`: the courses of all numbers that charts draw. */
export interface Course {
  readonly span: Span;
  /** Milliseconds since 1970 of each point, oldest first. */
  readonly at: readonly number[];
  /** As long as `at`. Rates and quantiles are those of the last 10 seconds, or of the step if that is longer. */
  readonly values: Readonly<Record<Key, readonly (number | null)[]>>;
  readonly marks: readonly Mark[];
}

/** `GET /live/histogram?route=/shop&span=5m`: how long the requests of one route took, of all methods and statuses. */
export interface RouteHistogram {
  readonly route: string;
  /** Milliseconds since 1970: the span that the bins really cover, see `Durations.window`. */
  readonly since: number;
  readonly until: number;
  readonly bins: Bins;
  readonly quantiles: readonly { readonly quantile: number; readonly seconds: number | null }[];
}
