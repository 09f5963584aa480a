import { Counter, type WorkerRegistry } from '@techcommerce/cluster-metrics';
import type { ErrorType, WorkerMetrics } from './metrics.ts';

/** The counter that workers keep for their requests and the primary for crashes: one definition, so that they merge. */
export function errorCounter(registry: WorkerRegistry): Counter<'type' | 'route'> {
  return new Counter({
    name: 'shop_errors_total',
    help: 'Errors, each counted once, by type and by the template of the route that answered it; a crashed worker has the route none',
    labelNames: ['type', 'route'],
    registers: [registry],
  });
}

/**
 * Counts an error; the one place to call for each is where it becomes an answer.
 *
 * @param route template of the route, or `unmatched`
 */
export function countError(metrics: Pick<WorkerMetrics, 'errors'>, route: string, type: ErrorType): void {
  metrics.errors.inc({ type, route });
}
