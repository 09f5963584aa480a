import { readFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { type Gauge, SAMPLES_PER_SECOND, type Sampler, sampleRegularly } from '@techcommerce/cluster-metrics';

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
