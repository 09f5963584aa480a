import { SAMPLE_INTERVAL_MS, sampleRegularly, type WorkerRegistry } from '@techcommerce/cluster-metrics';
import type { Knex } from 'knex';
import { askWritable, isDiskFull } from '../db/index.ts';
import { withDeadline } from '../deadline.ts';
import type { Logger } from '../log.ts';
import { databaseGauges } from './database-gauges.ts';
import { foldAndReadShop, READING, readShop, type ShopReading } from './database-readings.ts';
import { findReading, isFresh, type SharedReading, takeReading } from './shared-reading.ts';

const SECOND_MS = 1000;
/** With the interval between two samples, a gauge of a database that falls silent becomes unknown within a second. */
const GAUGE_DEADLINE_MS = SECOND_MS - SAMPLE_INTERVAL_MS;
/** No value is shown for longer than this after it was read, the interval to the next sample included. */
const OLDEST_MS = 2 * SECOND_MS;
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
 * Keeps the gauges that are read from the database, from a reading that all instances share. They are NaN while the
 * database does not answer. A scrape shows the last sample and waits for nothing.
 *
 * @param database whose own waits have deadlines: they end the queries that nobody waits for any more
 */
export function sampleDatabase(registry: WorkerRegistry, database: Knex, log: Logger): DatabaseState {
  const gauges = databaseGauges(registry);
  let up: boolean | undefined;
  let reads = true;

  function noteUp(isUp: boolean, error?: unknown): void {
    if (!isUp && up !== false) log.error({ err: error }, 'the database does not answer, or takes no writes');
    if (isUp && up === false) log.info('the database answers again');
    up = isUp;
    gauges.up.set(isUp ? 1 : 0);
  }

  function noteReading(error?: unknown): void {
    if (error && reads) log.warn({ err: error }, 'the gauges could not be read anew from the database');
    reads = !error;
  }

  /** The latest reading, or a new one where that is due and comes in time. */
  async function newestReading(latest: SharedReading<ShopReading> | null): Promise<SharedReading<ShopReading> | null> {
    if (latest && isFresh(latest)) return latest;
    const startedMs = performance.now();
    const taken = takeReading(database, READING, foldAndReadShop).catch(withoutWriting);
    underWay.push(taken);
    try {
      const reading = await inTime(taken, GAUGE_DEADLINE_MS);
      noteReading();
      if (reading) return reading;
    } catch (error) {
      noteReading(error);
    }
    return latest && { ...latest, ageMs: latest.ageMs + performance.now() - startedMs };
  }

  /** Without disk space, nothing can be left for the other instances, and each reads for itself. */
  async function withoutWriting(error: unknown): Promise<SharedReading<ShopReading>> {
    if (!isDiskFull(error)) throw error;
    return { reading: await readShop(database), ageMs: 0 };
  }

  let underWay: Promise<unknown>[] = [];
  const sampler = sampleRegularly(async function sampleState() {
    const writable = askWritable(database);
    const found = findReading<ShopReading>(database, READING);
    underWay = [writable, found];
    await Promise.all([
      inTime(Promise.all([found, writable]), UP_DEADLINE_MS).then(
        () => noteUp(true),
        (error: unknown) => noteUp(false, error),
      ),
      inTime(found, GAUGE_DEADLINE_MS)
        .then(newestReading)
        .then(
          (newest) =>
            newest && newest.ageMs <= OLDEST_MS - SAMPLE_INTERVAL_MS ? gauges.show(newest.reading) : gauges.forget(),
          gauges.forget,
        ),
    ]);
    // Not before the last has ended: a database in trouble is not asked more and more.
    await Promise.allSettled(underWay);
  });

  return { up: () => up === true, first: sampler.first, stop: sampler.stop };
}

function inTime<T>(work: Promise<T>, deadlineMs: number): Promise<T> {
  return withDeadline(work, deadlineMs, () => new Error(`no answer within ${deadlineMs} ms`));
}
