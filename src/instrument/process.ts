import { readFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import {
  collectDefaults,
  Gauge,
  SAMPLES_PER_SECOND,
  type Sampler,
  sampleRegularly,
  type WorkerRegistry,
} from '@techcommerce/cluster-metrics';
import type { Logger } from '../log.ts';

/**
 * Keeps prom-client's default metrics of this process up to date. One that can't be sampled keeps its last value, and
 * the log says so once, not every second.
 *
 * @returns stops it
 */
export function keepDefaultMetrics(registry: WorkerRegistry, log: Logger): () => void {
  let lastProblem = '';
  return collectDefaults(registry, {
    onProblem(error) {
      if (error.message === lastProblem) return;
      lastProblem = error.message;
      log.warn({ err: error }, 'a metric could not be sampled and keeps its last value');
    },
  });
}

/** Each process keeps its own series; one definition, so that they merge. */
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

/** Time that all cores together have spent since the machine's start; the unit cancels out. */
export interface HostCpuTimes {
  readonly busy: number;
  readonly total: number;
}

/**
 * Keeps `shop_host_cpu_usage_ratio`: the part of the machine's cores that was busy over the last second, with
 * everything that runs on it. In a container that is the host, not the container's share. NaN while it is not known:
 * before the second sample, and where the system doesn't count.
 */
export function sampleHostCpu(usage: Gauge, read: () => Promise<HostCpuTimes> = readHostCpu): Sampler {
  const samples: HostCpuTimes[] = [];
  return sampleRegularly(async function sampleHost() {
    const now = await read();
    const before = samples[0] ?? now;
    samples.push(now);
    if (samples.length > SAMPLES_PER_SECOND) samples.shift();
    const elapsed = now.total - before.total;
    usage.set(elapsed > 0 ? Math.min(1, Math.max(0, (now.busy - before.busy) / elapsed)) : Number.NaN);
  });
}

/** Linux sums the cores up itself, which is cheaper than `os.cpus()` and knows steal and I/O wait. */
async function readHostCpu(): Promise<HostCpuTimes> {
  try {
    return parseProcStat(await readFile('/proc/stat', 'utf8'));
  } catch {
    let busy = 0;
    let total = 0;
    for (const { times } of cpus()) {
      const used = times.user + times.nice + times.sys + times.irq;
      busy += used;
      total += used + times.idle;
    }
    return { busy, total };
  }
}

/**
 * @param text of `/proc/stat`; its first line sums user, nice, system, idle, iowait, irq, softirq and steal of all
 *   cores (proc_stat(5)); the guest times that follow are part of user and nice
 * @throws Error when it isn't one
 */
export function parseProcStat(text: string): HostCpuTimes {
  const [name, ...fields] = text.slice(0, text.indexOf('\n')).trim().split(/\s+/);
  const times = fields.slice(0, 8).map(Number);
  if (name !== 'cpu' || times.length < 5 || times.some(Number.isNaN)) throw new Error('not a /proc/stat');
  const total = times.reduce((sum, time) => sum + time, 0);
  const [, , , idle = 0, ioWait = 0] = times;
  return { busy: total - idle - ioWait, total };
}
