import { SPENT, type Spent } from '../../instrument/label-values.ts';
import { type Facts, LEAST_EVENTS, LEAST_PAGES } from './facts.ts';
import { FAILURES } from './keys.ts';
import type { Lamp, LampName, Level, Verdict } from './model.ts';
import { LAMPS } from './model.ts';
import { LIMITS, type RuleName } from './rule-texts.ts';

/** The result of a rule: the numbers that it compared, and the part to blame. */
interface Finding {
  readonly numbers: Readonly<Record<string, number>>;
  readonly blame?: string;
  /** Default: that of its rule. */
  readonly level?: LitLevel;
}

type LitLevel = Exclude<Level, 'good' | 'unknown'>;

interface Rule {
  readonly name: RuleName;
  readonly level: LitLevel;
  /** Anchor of the heading in docs/operations.md. */
  readonly runbook: string;
  /** @returns null when the rule does not light */
  find(facts: Facts): Finding | null;
}

/** Rules of one lamp. The first that finds something lights it. */
interface LampRules {
  readonly lamp: LampName;
  readonly rules: readonly Rule[];
}

/**
 * The delay of an event loop is part of every time that the worker measures, so no time counts as slow that the delay
 * explains: a query whose answer waits for the event loop looks slow too.
 */
const LAG_FACTOR = 3;
const silentOf = ({ ages }: Facts, factor = 1) =>
  ages.filter(({ seconds }) => seconds > factor * LIMITS.silenceSeconds);
/** The latest event loop. A silent worker's own delay is as old as its metrics. */
function latestLoop(facts: Facts) {
  const silent = silentOf(facts).map(({ worker }) => worker);
  return facts.lags.find(({ worker }) => !silent.includes(worker));
}
const worstLag = (facts: Facts) => latestLoop(facts)?.seconds ?? 0;
const withLag = (limit: number, facts: Facts) => limit + LAG_FACTOR * worstLag(facts);
/** A block is too rare among the turns of an event loop for their p99, but the age of the metrics shows it. */
const peakSilence = ({ peakAgeSeconds }: Facts) => (peakAgeSeconds > LIMITS.silenceSeconds ? peakAgeSeconds : 0);
const beyondLag = (limit: number, facts: Facts) =>
  Math.max(withLag(limit, facts), facts.peakLagSeconds, peakSilence(facts));

const isLagging = (facts: Facts) => worstLag(facts) > LIMITS.lagSeconds;

/** Whether the machine has no time left beside workers that are blocked, each of which may take one core. */
function isSaturated(facts: Facts): boolean {
  const { hostCpu, cores } = facts;
  const others = cores - silentOf(facts).length;
  return hostCpu !== null && others > 0 && (hostCpu * cores - (cores - others)) / others > LIMITS.machineCpu;
}

/** Whether a request takes little CPU time, however long it lasts. */
function isCheap({ workerCpu, requestRate }: Facts): boolean {
  const used = workerCpu.reduce((sum, cores) => sum + cores, 0);
  return requestRate > 0 && used / requestRate < LIMITS.cpuSecondsPerRequest;
}

/** Whether all workers are busy with many cheap requests: more load, not slower code. */
function isLoaded(facts: Facts): boolean {
  const { workerCpu } = facts;
  return workerCpu.length > 0 && workerCpu.every((cores) => cores > LIMITS.workerCpu) && isCheap(facts);
}

/**
 * Whether one route takes far longer than the median of the others. Also above twice the usual limit: on a busy machine,
 * drawing the QR code of a Pix takes that long.
 */
function isOutOfLine([slowest, ...others]: Facts['codeTimes']): boolean {
  const usual = others[others.length >> 1];
  if (!slowest || !usual) return false;
  return slowest.seconds > Math.max(OUT_OF_LINE_FACTOR * usual.seconds, 2 * LIMITS.codeSeconds);
}

/** Whether the machine, and not the code, makes the event loops late. */
const isShortOfCpu = (facts: Facts) => isLagging(facts) && (isSaturated(facts) || isLoaded(facts));

function slowOperation(facts: Facts) {
  const [slowest] = facts.operations;
  return slowest && slowest.seconds > beyondLag(LIMITS.operationSeconds, facts) ? slowest : undefined;
}

const isDatabaseAway = ({ databaseUp }: Facts) => databaseUp === false;
const isDatabaseInTrouble = (facts: Facts) => findIn(DATABASE, facts) !== null;

const DATABASE: LampRules = {
  lamp: 'database',
  rules: [
    {
      name: 'db_down',
      level: 'bad',
      runbook: 'the-database-is-down',
      find: (facts) => (isDatabaseAway(facts) ? { numbers: {} } : null),
    },
    {
      name: 'db_disk_full',
      level: 'bad',
      runbook: 'the-disk-of-the-database-is-full',
      find: ({ databaseDiskFull }) => (databaseDiskFull ? { numbers: {} } : null),
    },
    {
      name: 'db_slow',
      level: 'warning',
      runbook: 'the-database-is-slow',
      find(facts) {
        const slow = slowOperation(facts);
        return slow ? { numbers: { seconds: slow.seconds }, blame: `${slow.operation} ${slow.table}` } : null;
      },
    },
    {
      name: 'db_pool',
      level: 'bad',
      runbook: 'a-pool-is-exhausted',
      find: (facts) => (facts.waiting > 0 && !isLagging(facts) ? { numbers: { pending: facts.waiting } } : null),
    },
    {
      name: 'db_errors',
      level: 'bad',
      runbook: 'failures-of-the-database',
      find: ({ newErrors: { database = 0 }, peakLagSeconds }) =>
        database >= LEAST_EVENTS && peakLagSeconds < LIMITS.silenceSeconds ? { numbers: { errors: database } } : null,
    },
    {
      name: 'db_connections',
      level: 'warning',
      runbook: 'too-many-connections',
      find({ serverConnections }) {
        if (!serverConnections) return null;
        const { open, max } = serverConnections;
        return open / max > LIMITS.connections ? { numbers: { connections: open, max } } : null;
      },
    },
    {
      name: 'db_catalogue',
      level: 'warning',
      runbook: 'the-catalogue-is-old',
      find: ({ catalogueAgeSeconds: age }) =>
        age !== null && age > LIMITS.catalogueSeconds ? { numbers: { seconds: age } } : null,
    },
  ],
};

const PAYMENT: LampRules = {
  lamp: 'payment',
  rules: [
    {
      name: 'payment_slow',
      level: 'bad',
      runbook: 'a-checkout-hangs',
      find(facts) {
        const { payment, operations } = facts;
        if (!payment || payment.seconds <= beyondLag(LIMITS.paymentSeconds, facts)) return null;
        // The simulated provider keeps its books in the same database: what slows both is the database.
        const isOfDatabase = isDatabaseAway(facts) || payment.seconds < LAG_FACTOR * (operations[0]?.seconds ?? 0);
        return isOfDatabase ? null : { numbers: { seconds: payment.seconds } };
      },
    },
    {
      name: 'payment_failing',
      level: 'bad',
      runbook: 'a-checkout-hangs',
      find(facts) {
        const { failed, all } = facts.payments;
        const isFailing = failed >= LEAST_EVENTS && failed / all > LIMITS.failedPayments;
        return isFailing && !isDatabaseInTrouble(facts) ? { numbers: { payments: failed, share: failed / all } } : null;
      },
    },
    {
      name: 'payment_unsettled',
      level: 'warning',
      runbook: 'a-worker-or-an-instance-dies-during-checkouts',
      find: (facts) =>
        facts.unsettledPayments > 0 && !isDatabaseInTrouble(facts)
          ? { numbers: { payments: facts.unsettledPayments } }
          : null,
    },
  ],
};

const SILENCE_FACTOR = 3;
const OUT_OF_LINE_FACTOR = 20;

const hasHung = ({ restarts: { hang = 0 } }: Facts) => hang > 0;

/** Ends by a fault of the code. A signal comes from outside: a person, or the system that needs memory. */
const CRASHES = ['exception', 'out_of_memory', 'hang', 'failed_start'];

const CODE: LampRules = {
  lamp: 'code',
  rules: [
    {
      name: 'code_blocked',
      level: 'bad',
      runbook: 'a-worker-hangs',
      find(facts) {
        // A killed worker says more than its silent successor.
        if (hasHung(facts)) return null;
        const isShort = isShortOfCpu(facts);
        // Where CPU lacks, a worker may be silent for a while without a fault of its own.
        const [silent] = silentOf(facts, isShort ? SILENCE_FACTOR : 1);
        const blocked = silent ?? (isLagging(facts) && !isShort ? latestLoop(facts) : undefined);
        return blocked ? { numbers: { seconds: blocked.seconds }, blame: String(blocked.worker) } : null;
      },
    },
    {
      name: 'code_slow',
      level: 'warning',
      runbook: 'a-checkout-hangs',
      find(facts) {
        const [slowest] = facts.codeTimes;
        if (!slowest || slowest.seconds <= LIMITS.codeSeconds || isShortOfCpu(facts)) return null;
        // The delay of the event loop, and on a machine without time left the wait for a turn, make all routes slow.
        const isExplained =
          slowest.seconds <= withLag(LIMITS.codeSeconds, facts) || (isSaturated(facts) && isCheap(facts));
        if (isExplained && !isOutOfLine(facts.codeTimes)) return null;
        return { numbers: { seconds: slowest.seconds }, blame: slowest.route };
      },
    },
    {
      name: 'code_errors',
      level: 'warning',
      runbook: 'many-pages-end-in-5xx',
      find: ({ errors: { internal = 0 }, faultyRoute }) =>
        internal > 0 ? { numbers: { errors: internal }, blame: faultyRoute } : null,
    },
    {
      name: 'code_crash',
      level: 'warning',
      runbook: 'a-worker-dies',
      find(facts) {
        const { restarts } = facts;
        const crashes = CRASHES.reduce((sum, reason) => sum + (restarts[reason] ?? 0), 0);
        if (crashes === 0) return null;
        const [blame = ''] = CRASHES.filter((reason) => (restarts[reason] ?? 0) > 0);
        const isHangingAgain = hasHung(facts) && silentOf(facts).length > 0;
        return { numbers: { crashes }, blame, ...(isHangingAgain && { level: 'bad' }) };
      },
    },
    {
      name: 'code_memory',
      level: 'warning',
      runbook: 'the-memory-of-a-worker-grows',
      find({ heapGrowths: [most] }) {
        const isGrowing = most !== undefined && most.bytes > LIMITS.heapGrowthBytes;
        return isGrowing ? { numbers: { bytes: most.bytes }, blame: String(most.worker) } : null;
      },
    },
  ],
};

const MACHINE: LampRules = {
  lamp: 'machine',
  rules: [
    {
      name: 'machine_cpu',
      level: 'warning',
      runbook: 'more-load-than-the-shop-can-serve',
      find(facts) {
        const { hostCpu, othersCpu } = facts;
        const isShort = isSaturated(facts) && (isLagging(facts) || othersCpu > LIMITS.othersCpu);
        return isShort ? { numbers: { cpu: hostCpu ?? 0, others: othersCpu, seconds: worstLag(facts) } } : null;
      },
    },
    {
      name: 'machine_load',
      level: 'bad',
      runbook: 'more-load-than-the-shop-can-serve',
      find(facts) {
        const { overload = 0 } = facts.newErrors;
        // A request whose payment fails is an error of this type too.
        const refused = overload - facts.newFailedPayments;
        const isExplained = [DATABASE, PAYMENT, CODE].some((lamp) => findIn(lamp, facts) !== null);
        return refused >= LEAST_EVENTS && !isExplained ? { numbers: { errors: refused } } : null;
      },
    },
    {
      name: 'machine_killed',
      level: 'warning',
      runbook: 'reasons-of-a-restart',
      find: ({ restarts: { signal = 0 } }) => (signal > 0 ? { numbers: { killed: signal } } : null),
    },
    {
      name: 'machine_workers',
      level: 'warning',
      runbook: 'a-worker-dies-again-and-again',
      find(facts) {
        const down = facts.workers.filter(({ state }) => state === 'down').length;
        return down > 0 && findIn(CODE, facts) === null ? { numbers: { down } } : null;
      },
    },
  ],
};

/** The causes before their consequences. */
export const RULES_OF_LAMPS: readonly LampRules[] = [DATABASE, PAYMENT, CODE, MACHINE];

function findIn({ lamp, rules }: LampRules, facts: Facts): Lamp | null {
  for (const { name, level, runbook, find } of rules) {
    const found = find(facts);
    if (found) return { name: lamp, level, rule: name, blame: '', runbook, ...found };
  }
  return null;
}

const LAMP_OF_SPENT = { app: 'code', db: 'database', db_wait: 'database', payment: 'payment' } as const;

/** Where a checkout that hangs spends most of its time; null while it does not hang. */
function hangsIn({ checkout }: Facts): Spent | null {
  if (!checkout || checkout.seconds <= LIMITS.checkoutSeconds) return null;
  return [...SPENT].sort((a, b) => checkout.spent[b] - checkout.spent[a])[0] ?? null;
}

/**
 * The four lamps, in the page's order. One cause lights one lamp, where the metrics can tell. What makes the checkout
 * hang is bad, even if its rule alone is a warning.
 */
export function lampsOf(facts: Facts): Lamp[] {
  const hangs = hangsIn(facts);
  const lit = RULES_OF_LAMPS.flatMap((rules) => findIn(rules, facts) ?? []).map(
    (lamp): Lamp => (hangs && lamp.name === LAMP_OF_SPENT[hangs] ? { ...lamp, level: 'bad' } : lamp),
  );
  return LAMPS.map(
    (name) =>
      lit.find((lamp) => lamp.name === name) ?? { name, level: 'good', rule: '', blame: '', numbers: {}, runbook: '' },
  );
}

/** The page's first sentence: the worst problem, the checkout first; or that all is well. */
export function verdictOf(facts: Facts, lamps: readonly Lamp[]): Verdict {
  const { workers, checkout, pages, people } = facts;
  if (!workers.some(({ state }) => state === 'serving')) {
    const isStarting = workers.every(({ state, restarts }) => state === 'starting' && restarts === 0);
    if (isStarting) return { ...NOTHING, level: 'warning', rule: 'starting' };
    return { ...NOTHING, level: 'bad', rule: 'not_serving', runbook: 'a-worker-dies-again-and-again' };
  }
  const lit = [...lamps].filter(({ level }) => level === 'bad' || level === 'warning').sort(bySeverity);
  const blame = hangsIn(facts);
  if (checkout && blame) {
    const numbers = { seconds: checkout.seconds, share: checkout.spent[blame] };
    const runbook = lit.find(({ name }) => name === LAMP_OF_SPENT[blame])?.runbook ?? 'a-checkout-hangs';
    return { level: 'bad', rule: 'checkout_slow', blame, numbers, runbook };
  }
  const [worst] = lit;
  if (worst?.level === 'bad') return verdictOfLamp(worst);
  if (pages.count >= LEAST_PAGES) {
    const failuresIn = (errors: Facts['errors']) => FAILURES.reduce((sum, type) => sum + (errors[type] ?? 0), 0);
    const share = failuresIn(facts.errors) / pages.count;
    // Without one in the last minute they are over.
    if (share > LIMITS.errors && failuresIn(facts.newErrors) > 0) {
      const explains = lit.find(({ name }) => name === lampOfFailures(facts));
      if (explains) return { ...verdictOfLamp(explains), level: 'bad' };
      const numbers = { share };
      return {
        level: 'bad',
        rule: 'server_errors',
        blame: facts.failingRoute,
        numbers,
        runbook: 'many-pages-end-in-5xx',
      };
    }
    if (pages.p95 !== null && pages.p95 > LIMITS.pageSeconds) {
      const numbers = { seconds: pages.p95 };
      const runbook = worst?.runbook ?? 'more-load-than-the-shop-can-serve';
      return { level: 'warning', rule: 'pages_slow', blame: facts.slowestRoute, numbers, runbook };
    }
  }
  if (worst) return verdictOfLamp(worst);
  const quiet = { ...NOTHING, level: 'good', rule: 'quiet' } as const;
  if (pages.p50 === null) return quiet;
  return { ...quiet, rule: 'well', numbers: { seconds: pages.p50, ...(people !== null && { people }) } };
}

/** The lamp that tells why most of the failing pages fail; none for those that are refused. */
function lampOfFailures({ newErrors: { database = 0, internal = 0, overload = 0 } }: Facts): LampName | undefined {
  if (overload > Math.max(database, internal)) return undefined;
  return database > internal ? 'database' : 'code';
}

const NOTHING = { blame: '', numbers: {}, runbook: '' } as const;

function verdictOfLamp({ name: _, ...lamp }: Lamp): Verdict {
  return lamp;
}

/** Bad before warning; within a level, in the order of the causes. */
function bySeverity(a: Lamp, b: Lamp): number {
  const orderOf = ({ name }: Lamp) => RULES_OF_LAMPS.findIndex(({ lamp }) => lamp === name);
  return Number(b.level === 'bad') - Number(a.level === 'bad') || orderOf(a) - orderOf(b);
}

/** Without news for so long, nothing is said about the shop. */
const STALE_SECONDS = 5;

/** Verdict and lamps of numbers that are so old. */
export function judge(facts: Facts | null, ageSeconds: number): { verdict: Verdict; lamps: Lamp[] } {
  if (facts === null || ageSeconds > STALE_SECONDS) {
    const unknown = { ...NOTHING, level: 'unknown', rule: 'stale', numbers: { seconds: ageSeconds } } as const;
    return { verdict: unknown, lamps: LAMPS.map((name) => ({ ...unknown, name, rule: '', numbers: {} })) };
  }
  const lamps = lampsOf(facts);
  return { verdict: verdictOf(facts, lamps), lamps };
}

/**
 * Whether programs that keep no cookies make most of the visits. A browser brings the shop's cookie back with its second
 * request, so most requests of people have one.
 */
export function isBurst({ visits: { withoutCookie, all } }: Facts): boolean {
  return withoutCookie >= LIMITS.visitsWithoutCookie && withoutCookie / all > LIMITS.shareWithoutCookie;
}
