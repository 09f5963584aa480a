import { collectDefaults, type WorkerRegistry } from '@techcommerce/cluster-metrics';
import type { Logger } from '../log.ts';

/**
 * Keeps prom-client's default metrics of this process up to date. One that can't be sampled keeps its last value, and the
 * log says so once, not every second.
 *
 * @returns stops it
 */
export function keepDefaultMetrics(registry: WorkerRegistry, log: Logger): () => void {
  let told = '';
  return collectDefaults(registry, {
    onProblem(error) {
      if (error.message === told) return;
      told = error.message;
      log.warn({ err: error }, 'a metric could not be sampled and keeps its last value');
    },
  });
}
