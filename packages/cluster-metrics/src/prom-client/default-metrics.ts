import { type IntervalHistogram, monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { isWorkerRegistry } from '../instruments/checks.ts';
import { Counter } from '../instruments/counter.ts';
import { Gauge, type GaugeConfiguration } from '../instruments/gauge.ts';
import type { LabelValues } from '../instruments/types.ts';
import { type DefaultMetricsOptions, library, type RegistryContentType } from './library.ts';
import type { LibraryMetric } from './mirror.ts';
import type { SamplingOptions, WorkerRegistry } from './worker-registry.ts';

const SECOND = 1000;

/** The values of the label `kind` of `nodejs_gc_duration_seconds`, see the metric's help. */
const GC_KINDS = ['major', 'minor', 'incremental', 'weakcb'];

/** Half of the window that the gauges of the event loop's delay cover. */
const HALF_WINDOW_MS = 30 * SECOND;

/** prom-client's default; a delay is measured from one tick of a timer to the next, so no delay is shorter. */
const DELAY_RESOLUTION_MS = 10;

type DelayGauge = Pick<GaugeConfiguration<string>, 'help'> & {
  aggregator: 'min' | 'max' | 'average';
  read: (delays: IntervalHistogram) => number;
};

/**
 * In the place of prom-client's gauges of these names, which begin anew at each reading. Here a reading comes twice a
 * second, and most of what happens between two scrapes would never be seen; so these cover a window that slides.
 *
 * prom-client averages the percentiles over the processes, where one blocked process hardly shows and the result is no
 * percentile; here the slowest process counts.
 */
const DELAY_GAUGES: Record<string, DelayGauge> = {
  min: { help: 'Shortest delay of the event loop', aggregator: 'min', read: (delays) => delays.min },
  max: { help: 'Longest delay of the event loop', aggregator: 'max', read: (delays) => delays.max },
  mean: { help: 'Mean delay of the event loop', aggregator: 'average', read: (delays) => delays.mean },
  stddev: {
    help: "Standard deviation of the event loop's delays",
    aggregator: 'average',
    read: (delays) => delays.stddev,
  },
  p50: { help: 'Median delay of the event loop', aggregator: 'max', read: (delays) => delays.percentile(50) },
  p90: { help: '90th percentile of the event loop delays', aggregator: 'max', read: (delays) => delays.percentile(90) },
  p99: { help: '99th percentile of the event loop delays', aggregator: 'max', read: (delays) => delays.percentile(99) },
};

/**
 * Default metrics of prom-client and its successor that are left out.
 *
 * The first three have a counter's name and are gauges, to which promtool objects, and each is the sum of its namesake
 * without `_total`. The last one, of the successor, is a summary, whose quantiles can't be merged. Its twin
 * `nodejs_eventloop_utilization_histogram` is kept.
 */
const LEFT_OUT = [
  'nodejs_active_handles_total',
  'nodejs_active_requests_total',
  'nodejs_active_resources_total',
  'nodejs_eventloop_utilization_summary',
];

/**
 * Registers prom-client's default metrics, and keeps the registry's store up to date with them: see
 * `WorkerRegistry.sampleRegularly`.
 *
 * @returns a function that stops it
 * @throws {TypeError} without a WorkerRegistry
 */
export function collectDefaults(
  registry: WorkerRegistry<RegistryContentType>,
  { onProblem, ...options }: DefaultMetricsOptions & SamplingOptions = {},
): () => void {
  if (!isWorkerRegistry(registry)) {
    throw new TypeError('collectDefaults needs a WorkerRegistry: write collectDefaults(registry, { prefix })');
  }
  const { prefix = '', eventLoopMonitoringPrecision = DELAY_RESOLUTION_MS } = options;
  const labels = { ...options.labels } as LabelValues<string>;
  const defaults = new library.Registry();
  // The library's own measurement of the delays is not used: it wakes the process as seldom as possible.
  library.collectDefaultMetrics({ ...options, register: defaults, eventLoopMonitoringPrecision: SECOND });
  const replaced = Object.keys(DELAY_GAUGES).map(delayGaugeName);
  for (const metric of defaults.getMetricsAsArray() as unknown as LibraryMetric[]) {
    const name = metric.name.slice(prefix.length);
    if (!LEFT_OUT.includes(name) && !replaced.includes(name)) registry.registerMetric(metric);
  }
  // Their labels are known beforehand, so these series are there from the first scrape on.
  const gcDuration = defaults.getSingleMetric(`${prefix}nodejs_gc_duration_seconds`) as LibraryHistogram | undefined;
  for (const kind of GC_KINDS) gcDuration?.zero({ kind, ...labels });

  const delays = new RecentDelays(eventLoopMonitoringPrecision);
  for (const [what, { help, aggregator, read }] of Object.entries(DELAY_GAUGES)) {
    new Gauge({
      name: `${prefix}${delayGaugeName(what)}`,
      help: `${help}, over the last 30 to 60 seconds`,
      aggregator,
      labelNames: Object.keys(labels),
      registers: [registry],
      collect() {
        const { histogram } = delays;
        // Without a measurement yet, the minimum would be huge.
        this.set(labels, histogram.count === 0 ? 0 : read(histogram) / 1e9);
      },
    });
  }

  countLoopTime(registry, `${prefix}nodejs_eventloop_time_seconds_total`, labels);

  const stopSampling = registry.sampleRegularly(onProblem && { onProblem });
  return function stopCollecting() {
    stopSampling();
    delays.stop();
  };
}

/**
 * The utilization of the event loop, as a counter of which any window's share can be taken. The name is that of
 * `nodejs.eventloop.time` in OpenTelemetry's conventions.
 */
function countLoopTime(registry: WorkerRegistry<RegistryContentType>, name: string, labels: LabelValues<string>): void {
  const counted = { active: 0, idle: 0 };
  const states = Object.keys(counted) as (keyof typeof counted)[];
  const seconds = new Counter({
    name,
    help: 'Time that the event loop has run, by state: active, or idle while it waits for events',
    labelNames: ['state', ...Object.keys(labels)],
    registers: [registry],
    collect() {
      const times = performance.eventLoopUtilization();
      for (const state of states) {
        const newMs = times[state] - counted[state];
        // Until the loop has run once both are 0, and a clock's grain may let one shrink.
        if (newMs <= 0) continue;
        seconds.inc({ state, ...labels }, newMs / SECOND);
        counted[state] = times[state];
      }
    },
  });
  for (const state of states) seconds.zero({ state, ...labels });
}

/** @param what a key of `DELAY_GAUGES` */
function delayGaugeName(what: string): string {
  return `nodejs_eventloop_lag_${what}_seconds`;
}

interface LibraryHistogram {
  zero(labels: LabelValues<string>): void;
}

/** The delays of this process' event loop in the last 30 to 60 seconds; in a younger process, since its start. */
class RecentDelays {
  #older: IntervalHistogram;
  #younger: IntervalHistogram;
  #turnedMs = performance.now();

  constructor(resolutionMs: number) {
    this.#older = startMonitor(resolutionMs);
    this.#younger = startMonitor(resolutionMs);
  }

  /** In nanoseconds. */
  get histogram(): IntervalHistogram {
    const now = performance.now();
    if (now - this.#turnedMs >= HALF_WINDOW_MS) {
      this.#older.reset();
      [this.#older, this.#younger] = [this.#younger, this.#older];
      this.#turnedMs = now;
    }
    return this.#older;
  }

  stop(): void {
    this.#older.disable();
    this.#younger.disable();
  }
}

function startMonitor(resolutionMs: number): IntervalHistogram {
  const monitor = monitorEventLoopDelay({ resolution: resolutionMs });
  monitor.enable();
  return monitor;
}
