import type { Knex } from 'knex';
import type { Logger } from '../log.ts';
import { sampleRegularly } from '../metrics/index.ts';
import type { WorkerMetrics } from './metrics.ts';

/** https://www.postgresql.org/docs/current/errcodes-appendix.html */
const DISK_FULL = '53100';
/** After this it is tried again: one write that is refused tells more than any look at a file system. */
const REMEMBERED_MS = 15_000;

/** Whether PostgreSQL has room for what it is to store, as far as this process has seen. */
export interface DiskSpace {
  /** Whether a write was refused for want of space in the last 15 seconds. */
  isLacking(): boolean;
  stop(): void;
}

/**
 * Notes writes that PostgreSQL refuses for want of disk space, in `shop_db_disk_full` and once in the log. Nothing asks
 * for the space itself: while reads go on, the database looks well, and the disk is another machine's.
 */
export function watchDiskSpace(database: Knex, metrics: Pick<WorkerMetrics, 'dbDiskFull'>, log: Logger): DiskSpace {
  let refusedMs = Number.NEGATIVE_INFINITY;
  let told = false;
  const isLacking = () => performance.now() - refusedMs < REMEMBERED_MS;

  function queryFailed(error: Error & { code?: unknown }): void {
    if (error.code !== DISK_FULL) return;
    refusedMs = performance.now();
    metrics.dbDiskFull.set(1);
    if (!told) log.error({ err: error }, "the database's disk is full: nothing can be stored");
    told = true;
  }

  database.on('query-error', queryFailed);
  const sampler = sampleRegularly(function sampleDiskSpace() {
    const lacking = isLacking();
    metrics.dbDiskFull.set(lacking ? 1 : 0);
    if (told && !lacking) log.info('the database has refused no write for want of disk space lately');
    told = lacking;
  });

  return {
    isLacking,
    stop() {
      database.off('query-error', queryFailed);
      void sampler.stop();
    },
  };
}
