import { collectDefaultMetrics, type Gauge, type Histogram, Registry } from 'prom-client';
import type { SamplingOptions, WorkerRegistry } from './worker-registry.ts';

/** What prom-client tells apart in `nodejs_gc_duration_seconds` (prom-client/lib/metrics/gc.js). */
const GC_KINDS = ['major', 'minor', 'incremental', 'weakcb'];

/**
 * Gauges that promtool objects to, because of `_total`, and that say nothing new: each is the sum over the label
 * `type` of the gauge without `_total`.
 */
const REDUNDANT = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total'];

/** prom-client averages them over the processes, in which one that is blocked hardly shows, and which is no percentile. */
const LAG_PERCENTILE = /^nodejs_eventloop_lag_p\d+_seconds$/;

/**
 * Registers prom-client's default metrics and keeps the registry's store up to date with them, see
 * `WorkerRegistry.sampleRegularly`. Of several processes, a percentile of the event loop's lag is that of the slowest.
 *
 * @returns stops it
 */
export function collectDefaults(registry: WorkerRegistry, options: SamplingOptions = {}): () => void {
  const defaults = new Registry();
  collectDefaultMetrics({ register: defaults });
  for (const metric of defaults.getMetricsAsArray() as unknown as Gauge[]) {
    const { name } = metric as unknown as { name: string };
    if (REDUNDANT.includes(name)) continue;
    if (LAG_PERCENTILE.test(name)) Object.assign(metric, { aggregator: 'max' });
    registry.registerMetric(metric);
  }
  // Known beforehand, so there from the first scrape on, not from the first collection of each kind.
  const gcDuration = registry.getSingleMetric('nodejs_gc_duration_seconds') as Histogram<'kind'> | undefined;
  for (const kind of GC_KINDS) gcDuration?.zero({ kind });
  return registry.sampleRegularly(options);
}
