import type { WorkerMetrics } from './metrics.ts';
import { SAMPLES_PER_SECOND, type Sampler, sampleRegularly } from './sampler.ts';

/**
 * Keeps `shop_cpu_usage_ratio` of this process: cores used over the last second; 1 is one core fully used.
 *
 * @param worker its label: `primary`, or the worker's place number
 */
export function sampleProcess(cpuUsage: WorkerMetrics['cpuUsage'], worker: string): Sampler {
  const samples = [readCpu()];
  return sampleRegularly(function sampleCpu() {
    const now = readCpu();
    const before = samples[0] ?? now;
    samples.push(now);
    if (samples.length > SAMPLES_PER_SECOND) samples.shift();
    const elapsedMs = now.atMs - before.atMs;
    if (elapsedMs > 0) cpuUsage.set({ worker }, (now.usedMs - before.usedMs) / elapsedMs);
  });
}

function readCpu(): { atMs: number; usedMs: number } {
  const { user, system } = process.cpuUsage();
  return { atMs: performance.now(), usedMs: (user + system) / 1000 };
}
