import { bookThresholds } from './books.ts';
import { LONGEST } from './chance.ts';
import { REQUESTS } from './pages.ts';
import type { Defaults, Settings } from './settings.ts';

/** How a script loads the shop. */
export interface Profile {
  readonly defaults: Defaults;
  /** Part of the rate that the test begins with. */
  readonly start: number;
  /** Parts of the duration, and the part of the rate that is reached at the end of each. */
  readonly stages: readonly (readonly [time: number, rate: number])[];
  /** More than the shop can serve: it may refuse with 503, and only has to do so in time. */
  readonly isOverload: boolean;
  /** Pages that a visit takes on average. */
  readonly pagesPerVisit: number;
}

/** Pages of a visit that browses, and of one that only buys. */
const BROWSING = 11;
const BUYING = 7;

const RAMP = [
  [0.2, 1],
  [0.6, 1],
  [0.2, 0],
] as const;

export const PROFILES = {
  /** An evening: visits rise, stay and fall. */
  load: {
    defaults: { duration: '5m', rate: 5 },
    start: 0,
    stages: RAMP,
    isOverload: false,
    pagesPerVisit: BROWSING,
  },
  /** Up in five steps, to find the rate from which on the shop refuses. */
  stress: {
    defaults: { duration: '10m', rate: 50 },
    start: 0,
    stages: [
      [0.03, 0.2],
      [0.15, 0.2],
      [0.03, 0.4],
      [0.15, 0.4],
      [0.03, 0.6],
      [0.15, 0.6],
      [0.03, 0.8],
      [0.15, 0.8],
      [0.03, 1],
      [0.15, 1],
      [0.1, 0],
    ],
    isOverload: true,
    pagesPerVisit: BROWSING,
  },
  /** A link on television: ten times the visits within seconds, and back. */
  spike: {
    defaults: { duration: '5m', rate: 50 },
    start: 0.1,
    stages: [
      [0.3, 0.1],
      [0.05, 1],
      [0.25, 1],
      [0.05, 0.1],
      [0.35, 0.1],
    ],
    isOverload: true,
    pagesPerVisit: BROWSING,
  },
  /** The same load for long: does anything grow? */
  soak: {
    defaults: { duration: '1h', rate: 2 },
    start: 0,
    stages: [
      [0.05, 1],
      [0.9, 1],
      [0.05, 0],
    ],
    isOverload: false,
    pagesPerVisit: BROWSING,
  },
  /** Nothing but orders. */
  checkout: {
    defaults: { duration: '5m', rate: 3 },
    start: 0,
    stages: RAMP,
    isOverload: false,
    pagesPerVisit: BUYING,
  },
} satisfies Record<string, Profile>;

/** The shop's service levels, docs/operations.md#service-levels: answers with a 5xx are left out of the times. */
const LEVELS = { failed: 'rate<0.001', page: 'p(99)<250', order: 'p(99)<1000' };
/** The deadline of every page is 1.9 s: what comes later has waited outside of the worker. */
const IN_TIME = 'p(99)<2000';

/**
 * After the duration, visits end at their next page, and orders when they are definite: both take some repetitions in an
 * overloaded shop. A look that has begun lasts to its end.
 */
const GRACE_SECONDS = 300;
/** Of a form, in average looks. */
const LONGEST_LOOK = 3 * LONGEST;
/** Seconds that a page itself may take on average, for the number of shoppers at a time. */
const PAGE_SECONDS = 0.5;

/** Statistics of times that the summary shows. */
export const STATISTICS = ['count', 'med', 'p(95)', 'p(99)', 'max'];

/** k6's options for a script. New shoppers arrive at a rate, however slow the shop is. */
export function optionsFor(profile: Profile, settings: Settings) {
  const { durationSeconds, rate, thinkSeconds, account } = settings;
  const vus = Math.ceil(rate * profile.pagesPerVisit * (thinkSeconds + PAGE_SECONDS)) + 1;
  return {
    scenarios: {
      shoppers: {
        executor: 'ramping-arrival-rate' as const,
        // Whole numbers only, so that a minute allows smaller rates.
        timeUnit: '1m',
        startRate: perMinute(rate * profile.start),
        stages: profile.stages.map(([time, part]) => ({
          duration: `${Math.round(time * durationSeconds * 1000)}ms`,
          target: perMinute(rate * part),
        })),
        preAllocatedVUs: vus,
        maxVUs: 3 * vus,
        gracefulStop: `${GRACE_SECONDS + Math.ceil(LONGEST_LOOK * thinkSeconds)}s`,
      },
    },
    thresholds: {
      ...(profile.isOverload
        ? pageThresholds(() => IN_TIME)
        : pageThresholds((request) => (request === 'POST /checkout' ? LEVELS.order : LEVELS.page))),
      unexpected: [LEVELS.failed],
      checks: ['rate==1'],
      ...(account && bookThresholds()),
    },
    setupTimeout: '60s',
    teardownTimeout: '120s',
    summaryTrendStats: STATISTICS,
  };
}

/** The options of the smoke test: one visit, or as many as the command line says. */
export function smokeOptions({ account }: Settings) {
  return {
    thresholds: {
      ...pageThresholds(() => IN_TIME),
      unexpected: ['rate==0'],
      checks: ['rate==1'],
      ...(account && bookThresholds()),
    },
    setupTimeout: '60s',
    teardownTimeout: '120s',
    summaryTrendStats: STATISTICS,
  };
}

/** k6's own name of the times of a page. */
export function timesOf(request: string): string {
  return `http_req_duration{name:${request},expected_response:true}`;
}

function pageThresholds(levelOf: (request: string) => string): Record<string, string[]> {
  return Object.fromEntries(REQUESTS.map((request) => [timesOf(request), [levelOf(request)]]));
}

function perMinute(rate: number): number {
  return Math.round(rate * 60);
}
