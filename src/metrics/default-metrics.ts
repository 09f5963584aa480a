import { collectDefaultMetrics, type Histogram } from 'prom-client';
import type { WorkerRegistry } from './worker-registry.ts';

export interface DefaultMetricsOptions {
  /** Told when a `collect` function throws; sampling goes on. */
  onProblem?: (problem: Error) => void;
}

/** What prom-client tells apart in `nodejs_gc_duration_seconds` (prom-client/lib/metrics/gc.js). */
const GC_KINDS = ['major', 'minor', 'incremental', 'weakcb'];

/**
 * Gauges that promtool objects to, because of `_total`, and that say nothing new: each is the sum over the label
 * `type` of the gauge without `_total`.
 */
const REDUNDANT = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total'];

/**
 * Registers prom-client's default metrics and keeps the registry's store up to date with them: once at once, then
 * every second, by a timer that keeps no process alive.
 *
 * @returns stops it
 */
export function collectDefaults(registry: WorkerRegistry, options: DefaultMetricsOptions = {}): () => void {
  collectDefaultMetrics({ register: registry });
  for (const name of REDUNDANT) registry.removeSingleMetric(name);
  // Known beforehand, so there from the first scrape on, not from the first collection of each kind.
  const gcDuration = registry.getSingleMetric('nodejs_gc_duration_seconds') as Histogram<'kind'> | undefined;
  for (const kind of GC_KINDS) gcDuration?.zero({ kind });
  return sampleEverySecond(registry, options);
}

/** Keeps prom-client's metrics, and the gauges that `collect`, up to date in the store. @returns stops it */
export function sampleEverySecond(
  registry: WorkerRegistry,
  { onProblem = () => {} }: DefaultMetricsOptions = {},
): () => void {
  return registry.sampleEverySecond(onProblem);
}
