import type { Bench } from '../bench.ts';
import type { Goal, Part } from '../report.ts';
import type { BenchShop } from '../shop.ts';
import { formatSpread } from '../statistics.ts';
import { cells, PAGES, stylesheet, visitorWithCart } from './pages.ts';

/** `/livez` must not become slower; two runs of the same code differ by this much. */
const LIVEZ_GOAL = 0.97;

/** Pages, a static file and `/livez` of this revision against those of an earlier one. */
export async function measureBefore(bench: Bench): Promise<Part> {
  const earlier = await prepare(await bench.earlierShop());
  const now = await prepare(await bench.shop());
  for (const { all } of [earlier, now]) await bench.warmUp(all);
  const rows: string[][] = [];
  const goals: Goal[] = [];
  for (const [i, name] of NAMES.entries()) {
    const comparison = await bench.compare(earlier.side(i), now.side(i));
    rows.push([name, ...cells(comparison)]);
    if (name === LIVEZ) {
      const { ratio } = comparison;
      goals.push({
        figure: '/livez, to before, requests per CPU second',
        measured: formatSpread(ratio.requestsPerCpuSecond),
        goal: `≥ ${LIVEZ_GOAL}`,
        reached: ratio.requestsPerCpuSecond.median >= LIVEZ_GOAL,
      });
    }
  }
  return {
    title: 'Pages before and now',
    about: `This revision against ${bench.earlierRevision}, which was built for the measurement. Each has a database of its own. The requests are those of a browser with a session and 2 items in the cart.`,
    head: [
      'page',
      'before, requests/s',
      'now, requests/s',
      'ratio of requests/s',
      'before, CPU µs',
      'now, CPU µs',
      'ratio of requests per CPU second',
    ],
    rows,
    goals,
  };
}

const LIVEZ = '/livez';
const NAMES = [...Object.keys(PAGES), 'static file', LIVEZ];

async function prepare(shop: BenchShop) {
  const visitor = await visitorWithCart(shop.origin);
  const paths = [...Object.values(PAGES), await stylesheet(visitor), LIVEZ];
  const headers = visitor.headers();
  const pids = await shop.workers();
  const requests = paths.map((path) => ({ path, headers }));
  const all = { origin: shop.origin, pids, requests };
  return { all, side: (i: number) => ({ ...all, requests: requests.slice(i, i + 1) }) };
}
