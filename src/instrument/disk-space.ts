import { sampleRegularly } from '@techcommerce/cluster-metrics';
import type { Knex } from 'knex';
import { isDiskFull } from '../db/index.ts';
import type { Logger } from '../log.ts';
import type { WorkerMetrics } from './worker-metrics.ts';

/** After a refused write, checkouts are refused for this long. Then one is tried: only a write shows whether there is space. */
const REMEMBERED_MS = 15_000;
/** After a refused write, each order is rehearsed for this long: one table may still have room when another has none. */
const DOUBTED_MS = 10 * 60_000;

/** Whether PostgreSQL has disk space, as far as this process has seen. */
export interface DiskSpace {
  /** Whether a write was refused for lack of space in the last 15 seconds. */
  isLacking(): boolean;
  /** Whether a write was refused in the last 10 minutes: an important write should be rehearsed first. */
  isInDoubt(): boolean;
  stop(): void;
}

/**
 * Notes in `shop_db_disk_full`, and once in the log, that PostgreSQL refuses writes for lack of disk space. Refused
 * writes are the only sign of it: reads go on, and the disk is another machine's.
 */
export function watchDiskSpace(database: Knex, metrics: Pick<WorkerMetrics, 'dbDiskFull'>, log: Logger): DiskSpace {
  let refusedMs = Number.NEGATIVE_INFINITY;
  let logged = false;
  const isLacking = () => performance.now() - refusedMs < REMEMBERED_MS;

  function queryFailed(error: Error): void {
    if (!isDiskFull(error)) return;
    refusedMs = performance.now();
    metrics.dbDiskFull.set(1);
    if (!logged) log.error({ err: error }, "the database's disk is full: nothing can be stored");
    logged = true;
  }

  database.on('query-error', queryFailed);
  const sampler = sampleRegularly(function sampleDiskSpace() {
    const lacking = isLacking();
    metrics.dbDiskFull.set(lacking ? 1 : 0);
    if (logged && !lacking) log.info('no write was refused for lack of disk space lately');
    logged = lacking;
  });

  return {
    isLacking,
    isInDoubt: () => performance.now() - refusedMs < DOUBTED_MS,
    stop() {
      database.off('query-error', queryFailed);
      void sampler.stop();
    },
  };
}
