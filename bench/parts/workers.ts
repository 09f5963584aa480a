import { number } from '../../packages/cluster-metrics/bench/table.ts';
import { type Bench, CONNECTIONS, type Side } from '../bench.ts';
import type { Part } from '../report.ts';
import type { BenchShop } from '../shop.ts';
import { formatSpread } from '../statistics.ts';
import { PAGES, visitorWithCart } from './pages.ts';

const GOAL = 0.95;

/** A shop of two workers against a shop of one. */
export async function measureWorkers(bench: Bench): Promise<Part> {
  // Both are new: one that has served for minutes would have the better compiled code.
  const shops = [await bench.startShop({ workers: 1 }), await bench.startShop({ workers: 2 })] as const;
  const [one, two] = [await sideOf(shops[0]), await sideOf(shops[1])];
  for (const side of [one, two]) await bench.warmUp(side);
  const { base, measured, ratio } = await bench.compare(one, two);
  await Promise.all(shops.map((shop) => shop.stop()));
  const { requestsPerCpuSecond } = ratio;
  return {
    title: 'Two workers against one',
    about:
      'Home, product and list in turn, over 10 connections for each worker, as a worker with more requests at a time needs less processor time for each. The processor time is that of all workers: two that each did as well as one alone would have a ratio of 1. The requests per second are no measure of that on two cores, which the load needs too.',
    head: ['figure', 'one', 'two', 'ratio'],
    rows: [
      [
        'requests/s',
        number(base.requestsPerSecond.median),
        number(measured.requestsPerSecond.median),
        formatSpread(ratio.requestsPerSecond),
      ],
      [
        'workers’ CPU µs a request',
        number(base.cpuMicros.median),
        number(measured.cpuMicros.median),
        formatSpread(requestsPerCpuSecond),
      ],
    ],
    goals: [
      {
        figure: 'two workers to one, requests per CPU second',
        measured: number(requestsPerCpuSecond.median),
        goal: `≥ ${GOAL}`,
        reached: requestsPerCpuSecond.median >= GOAL,
      },
    ],
  };
}

async function sideOf(shop: BenchShop): Promise<Side> {
  const headers = (await visitorWithCart(shop.origin)).headers();
  const requests = Object.values(PAGES).map((path) => ({ path, headers }));
  const pids = await shop.workers();
  return { origin: shop.origin, pids, requests, connections: pids.length * CONNECTIONS };
}
