import type { Knex } from 'knex';
import { withDeadline } from '../deadline.ts';
import type { Logger } from '../log.ts';
import { SAMPLE_INTERVAL_MS, sampleRegularly, type WorkerRegistry } from '../metrics/index.ts';
import { databaseGauges } from './database-gauges.ts';
import { readServerConnections, readSessions } from './database-readings.ts';

const SECOND_MS = 1000;
/** With the interval between two samples, a gauge is a second old at most before it becomes unknown. */
const GAUGE_DEADLINE_MS = SECOND_MS - SAMPLE_INTERVAL_MS;
/** A database that is only slow is up. */
const UP_DEADLINE_MS = SECOND_MS;

export interface DatabaseState {
  /** Whether the last sample was answered in time. */
  up(): boolean;
  /** Resolves when the first sample is taken. */
  readonly first: Promise<void>;
  stop(): Promise<void>;
}

/**
 * Keeps the gauges that are read from the database. What isn't told in time is NaN, never an old value. A scrape shows
 * the last sample and waits for nothing.
 *
 * @param database whose own waits have deadlines: they end the queries that nobody waits for any more
 */
export function sampleDatabase(registry: WorkerRegistry, database: Knex, log: Logger): DatabaseState {
  const gauges = databaseGauges(registry);
  let up: boolean | undefined;

  function noteUp(isUp: boolean, error?: unknown): void {
    if (!isUp && up !== false) log.error({ err: error }, 'the database does not answer');
    if (isUp && up === false) log.info('the database answers again');
    up = isUp;
    gauges.up.set(isUp ? 1 : 0);
  }

  const sampler = sampleRegularly(async function sampleState() {
    const connections = readServerConnections(database);
    const sessions = readSessions(database);
    await Promise.all([
      inTime(connections, UP_DEADLINE_MS).then(
        () => noteUp(true),
        (error: unknown) => noteUp(false, error),
      ),
      inTime(connections, GAUGE_DEADLINE_MS).then(gauges.showConnections, gauges.forgetConnections),
      inTime(sessions, GAUGE_DEADLINE_MS).then(gauges.showSessions, gauges.forgetSessions),
    ]);
    // Not before the last has ended: a database in trouble is not asked more and more.
    await Promise.allSettled([connections, sessions]);
  });

  return { up: () => up === true, first: sampler.first, stop: sampler.stop };
}

function inTime<T>(work: Promise<T>, deadlineMs: number): Promise<T> {
  return withDeadline(work, deadlineMs, () => new Error(`no answer within ${deadlineMs} ms`));
}
