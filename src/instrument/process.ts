import {
  Gauge,
  SAMPLES_PER_SECOND,
  type Sampler,
  sampleRegularly,
  type WorkerRegistry,
} from '@techcommerce/cluster-metrics';

/** Kept by every process for itself; one definition, so that they merge. */
export function cpuUsageGauge(registry: WorkerRegistry): Gauge<'worker'> {
  return new Gauge({
    name: 'shop_cpu_usage_ratio',
    help: 'Cores that a process of the shop used over the last second: 1 is one core fully used; worker is primary or a place number',
    labelNames: ['worker'],
    aggregator: 'sum',
    registers: [registry],
  });
}

/**
 * Keeps `shop_cpu_usage_ratio` of this process: cores used over the last second, or since the process began;
 * 1 is one core fully used.
 *
 * @param worker its label: `primary`, or the worker's place number
 */
export function sampleProcess(cpuUsage: Gauge<'worker'>, worker: string): Sampler {
  const samples = [PROCESS_START];
  return sampleRegularly(function sampleCpu() {
    const now = readCpu();
    const before = samples[0] ?? PROCESS_START;
    samples.push(now);
    if (samples.length > SAMPLES_PER_SECOND) samples.shift();
    cpuUsage.set({ worker }, (now.usedMs - before.usedMs) / (now.atMs - before.atMs));
  });
}

/** `performance.now()` counts from there, so the first sample is the mean of the process' life so far. */
const PROCESS_START = { atMs: 0, usedMs: 0 };

function readCpu(): { atMs: number; usedMs: number } {
  const { user, system } = process.cpuUsage();
  return { atMs: performance.now(), usedMs: (user + system) / 1000 };
}
