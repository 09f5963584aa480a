import type { WorkerRegistry } from '../src/index.ts';
import type { Library } from './mechanism.ts';

const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const HISTOGRAM_LINES = BUCKETS.length + 3;
const QUANTILES = [0.5, 0.9, 0.95, 0.99];
const SUMMARY_LINES = QUANTILES.length + 2;
/** Of each histogram and summary. */
const OBSERVATIONS = 200;

/** A random latency in seconds: some milliseconds, with a long tail. */
export const latency = () => 0.002 * Math.exp(1.2 * (Math.random() + Math.random() + Math.random() - 1));

/**
 * Creates metrics with this number of samples in the proportions of a web shop: half in histograms, three tenths in
 * counters, a tenth each in gauges and summaries.
 *
 * @param native gives the histograms native buckets too, and the summaries native twins; of this package alone
 * @returns updates some of them, as a request would
 */
export function declareMix(library: Library, registry: WorkerRegistry, samples: number, native = false): () => void {
  const common = { help: 'Something that is measured', labelNames: ['name'] as const, registers: [registry] };
  const counter = new library.Counter({ ...common, name: 'acts_total' });
  const gauge = new library.Gauge({ ...common, name: 'level' });
  const histogram = new library.Histogram({
    ...common,
    name: 'duration_seconds',
    buckets: BUCKETS,
    ...(native && { native }),
  });
  const summary = new library.Summary({
    ...common,
    name: 'wait_seconds',
    percentiles: QUANTILES,
    maxAgeSeconds: 300,
    ...{ ageBuckets: 5 },
    ...(native && { nativeHistogram: 'wait_histogram_seconds' }),
  });
  const histograms = Math.round((0.5 * samples) / HISTOGRAM_LINES);
  const summaries = Math.max(1, Math.round((0.1 * samples) / SUMMARY_LINES));
  const gauges = Math.round(0.1 * samples);
  const counters = samples - gauges - histograms * HISTOGRAM_LINES - summaries * SUMMARY_LINES;

  for (let i = 0; i < counters; i++) counter.inc({ name: `product-${i}` }, i);
  for (let i = 0; i < gauges; i++) gauge.set({ name: `state-${i}` }, i);
  for (let k = 0; k < OBSERVATIONS; k++) {
    for (let i = 0; i < histograms; i++) histogram.observe({ name: `route-${i}` }, latency());
    for (let i = 0; i < summaries; i++) summary.observe({ name: `operation-${i}` }, latency());
  }

  return function update() {
    const n = Math.floor(Math.random() * samples);
    counter.inc({ name: `product-${n % counters}` });
    gauge.set({ name: `state-${n % gauges}` }, n);
    histogram.observe({ name: `route-${n % histograms}` }, latency());
    summary.observe({ name: `operation-${n % summaries}` }, latency());
  };
}
