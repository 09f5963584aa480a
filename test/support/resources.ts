import { readdir, readFile } from 'node:fs/promises';
import type { RunningCluster } from './cluster.ts';

/** What a process of the shop holds at a moment. */
export interface Resources {
  /** `primary`, or the worker's place number. */
  process: string;
  memoryBytes: number;
  /** Open files and connections. */
  descriptors: number;
}

/** Of the primary and its workers, as the kernel says (proc(5)). */
export async function readResources(shop: RunningCluster): Promise<Resources[]> {
  const { primary, workers } = await shop.status();
  const processes: [string, number | null][] = [
    ['primary', primary.pid],
    ...workers.map(({ worker, pid }): [string, number | null] => [String(worker), pid]),
  ];
  return Promise.all(
    processes.map(async ([name, pid]) => {
      const status = await readFile(`/proc/${pid}/status`, 'utf8');
      return {
        process: name,
        memoryBytes: Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024,
        descriptors: (await readdir(`/proc/${pid}/fd`)).length,
      };
    }),
  );
}
