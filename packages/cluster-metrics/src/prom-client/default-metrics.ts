import { collectDefaultMetrics, type Gauge, type Histogram, Registry } from 'prom-client';
import { RecentDelays } from './recent-delays.ts';
import type { SamplingOptions, WorkerRegistry } from './worker-registry.ts';

/** What prom-client tells apart in `nodejs_gc_duration_seconds` (prom-client/lib/metrics/gc.js). */
const GC_KINDS = ['major', 'minor', 'incremental', 'weakcb'];

/**
 * Gauges that promtool objects to, because of `_total`, and that say nothing new: each is the sum over the label
 * `type` of the gauge without `_total`.
 */
const REDUNDANT = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total'];

const LAG = /^nodejs_eventloop_lag_(min|max|mean|stddev|p\d+)_seconds$/;

/**
 * Registers prom-client's default metrics and keeps the registry's store up to date with them, see
 * `WorkerRegistry.sampleRegularly`. The event loop's lag is told otherwise, see `tellRecentLag`.
 *
 * @returns stops it
 */
export function collectDefaults(registry: WorkerRegistry, options: SamplingOptions = {}): () => void {
  const defaults = new Registry();
  // What it monitors itself is not used: it shall wake up the process seldom.
  collectDefaultMetrics({ register: defaults, eventLoopMonitoringPrecision: 1000 });
  const delays = new RecentDelays();
  for (const metric of defaults.getMetricsAsArray() as unknown as NamedGauge[]) {
    if (REDUNDANT.includes(metric.name)) continue;
    const [, what] = LAG.exec(metric.name) ?? [];
    if (what !== undefined) tellRecentLag(metric, what, delays);
    registry.registerMetric(metric);
  }
  // Known beforehand, so there from the first scrape on, not from the first collection of each kind.
  const gcDuration = registry.getSingleMetric('nodejs_gc_duration_seconds') as Histogram<'kind'> | undefined;
  for (const kind of GC_KINDS) gcDuration?.zero({ kind });
  const stopSampling = registry.sampleRegularly(options);
  return function stopCollecting() {
    stopSampling();
    delays.stop();
  };
}

/** prom-client's metrics have their name, help and aggregator as properties, though its types don't say so. */
type NamedGauge = Gauge & { name: string; help: string; aggregator: string };

/**
 * prom-client begins anew at each reading. Here that is twice a second, and most of what happens between two scrapes
 * would never be seen; so its gauges tell of a window that slides. Percentiles it averages over the processes, where one
 * that is blocked hardly shows, and which is no percentile: of several processes, that of the slowest is told.
 *
 * @param what of the delays: a part of the gauge's name
 */
function tellRecentLag(gauge: NamedGauge, what: string, delays: RecentDelays): void {
  const percentile = /^p(\d+)$/.exec(what)?.[1];
  if (percentile !== undefined) gauge.aggregator = 'max';
  gauge.help = `${gauge.help.replace(/\.$/, '')}, over the last 30 to 60 seconds`;
  Object.assign(gauge, {
    collect() {
      const { histogram } = delays;
      const nanoseconds =
        percentile === undefined ? histogram[what as Moment] : histogram.percentile(Number(percentile));
      // Before the first turn there is nothing to tell.
      gauge.set(histogram.count === 0 ? 0 : nanoseconds / 1e9);
    },
  });
}

type Moment = 'min' | 'max' | 'mean' | 'stddev';
