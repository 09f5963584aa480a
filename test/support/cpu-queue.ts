import { existsSync, readFileSync } from 'node:fs';

/**
 * Milliseconds that these processes have been ready to run while all CPUs were taken: what the machine's other load
 * adds to whatever they do. https://docs.kernel.org/scheduler/sched-stats.html#proc-pid-schedstat
 */
export function queuedMs(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    const file = `/proc/${pid}/schedstat`;
    const [, queuedNs = 0] = existsSync(file) ? readFileSync(file, 'utf8').split(' ') : [];
    return sum + Number(queuedNs) / 1e6;
  }, 0);
}
