import { number } from '../../packages/cluster-metrics/bench/table.ts';
import { categories, products } from '../../seeds/catalogue.ts';
import type { Bench } from '../bench.ts';
import { memoryBytes } from '../processes.ts';
import type { LoadRequest } from '../programs/load.ts';
import type { Part } from '../report.ts';
import { BROWSER_HEADERS } from '../visitor.ts';
import { visitorWithCart } from './pages.ts';

/** After so long, the goal is decided. */
export const HOUR_SECONDS = 3600;
const GOAL_MEGABYTES = 150;
const MEGABYTE = 2 ** 20;
const CONNECTIONS = 10;
const VISITORS = 20;
const SORTS = ['featured', 'price_asc', 'price_desc', 'name', 'newest'];
/** Distinct ones; each is a page of its own to the shop. */
const SEARCHES = 3_000;

/** Resident memory of a worker before and after much browsing. */
export async function measureMemory(bench: Bench): Promise<Part> {
  const shop = await bench.startShop({ workers: 1 });
  const [pid = 0] = await shop.workers();
  const atStart = (await memoryBytes(pid)) / MEGABYTE;

  const requests = await browsing(shop.origin);
  const { requests: most, seconds } = bench.effort.browsing;
  const startedMs = performance.now();
  let sent = 0;
  // In portions, because a number of requests has no bound in time.
  while (sent < most && performance.now() - startedMs < seconds * 1000) {
    const portion = Math.min(requests.length, most - sent);
    await bench.load({ origin: shop.origin, requests, connections: CONNECTIONS, length: { requests: portion } });
    sent += portion;
  }
  const elapsedSeconds = (performance.now() - startedMs) / 1000;
  const afterwards = (await memoryBytes(pid)) / MEGABYTE;
  await shop.stop();
  const moment = `after ${Math.round(elapsedSeconds)} s of browsing`;
  const isWithin = afterwards <= GOAL_MEGABYTES;
  return {
    title: 'Memory of a worker',
    about: `${products.length} products, ${categories.length * SORTS.length} lists and ${SEARCHES} different searches, by ${VISITORS} visitors with carts and by strangers without a cookie. \`--hour\` browses for an hour, which is what the goal is for.`,
    head: ['moment', 'requests', 'resident MB'],
    rows: [
      ['after the start', '0', number(atStart)],
      [moment, String(sent), number(afterwards)],
    ],
    goals: [
      {
        figure: `memory of a worker ${moment}, MB`,
        measured: number(afterwards),
        goal: `≤ ${GOAL_MEGABYTES} after an hour`,
        reached: isWithin && elapsedSeconds < HOUR_SECONDS ? 'so far' : isWithin,
      },
    ],
  };
}

async function browsing(origin: string): Promise<LoadRequest[]> {
  const visitors: Record<string, string>[] = [BROWSER_HEADERS];
  for (let i = 0; i < VISITORS; i++) visitors.push((await visitorWithCart(origin)).headers());

  const words = products.map(({ name }) => name.split(' ')[0] ?? '');
  const pages = [
    '/',
    ...products.map((_, i) => `/detail/${i + 1}`),
    ...categories.flatMap(({ slug }) => SORTS.map((sort) => `/shop?category=${slug}&sort=${sort}`)),
  ];
  return Array.from({ length: SEARCHES }, (_, i) => [
    pages[i % pages.length] as string,
    `/shop?q=${encodeURIComponent(`${words[i % words.length]} ${i}`)}`,
  ])
    .flat()
    .map((path, i) => ({ path, headers: visitors[i % visitors.length] as Record<string, string> }));
}
