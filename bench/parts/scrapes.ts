import { setTimeout as sleep } from 'node:timers/promises';
import { number } from '../../packages/cluster-metrics/bench/table.ts';
import type { Bench } from '../bench.ts';
import type { Part } from '../report.ts';
import { formatSpread } from '../statistics.ts';
import { PAGES, visitorWithCart } from './pages.ts';

const SECOND = 1000;
/** Beyond it, a difference is more than noise. */
const P99_GOAL = 1.05;
/** As many scrapes fall into a measurement. */
const SECONDS_FACTOR = 3;

/** What Prometheus sends. */
const PROMETHEUS_HEADERS = {
  Accept:
    'application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2',
  'Accept-Encoding': 'gzip',
};

/** The product page while `/metrics` is scraped every second, against the same without a scrape. */
export async function measureScrapes(bench: Bench): Promise<Part> {
  const shop = await bench.shop();
  const requests = [{ path: PAGES.product, headers: (await visitorWithCart(shop.origin)).headers() }];
  const side = { origin: shop.origin, pids: await shop.workers(), requests };
  const { base, measured, ratio } = await bench.compare(
    side,
    { ...side, beside: () => scrapeEverySecond(`${shop.opsOrigin}/metrics`) },
    { seconds: bench.effort.seconds * SECONDS_FACTOR },
  );
  return {
    title: 'Scrapes',
    about:
      'The product page while `/metrics` of the primary is scraped every second, against the same without scrapes. A difference of a twentieth is noise. The p99.9 shows the requests that met a scrape.',
    head: ['figure', 'without', 'with', 'ratio'],
    rows: [
      [
        'requests/s',
        number(base.requestsPerSecond.median),
        number(measured.requestsPerSecond.median),
        formatSpread(ratio.requestsPerSecond),
      ],
      ['p99, ms', number(base.p99Ms.median), number(measured.p99Ms.median), formatSpread(ratio.p99)],
      ['p99.9, ms', number(base.p999Ms.median), number(measured.p999Ms.median), formatSpread(ratio.p999)],
    ],
    goals: [
      {
        figure: 'p99 with a scrape every second, to without',
        measured: formatSpread(ratio.p99),
        goal: `≤ ${P99_GOAL}`,
        reached: ratio.p99.median <= P99_GOAL,
      },
    ],
  };
}

/** @returns its end, after the scrape under way */
function scrapeEverySecond(url: string): () => Promise<void> {
  const stopping = new AbortController();
  async function scrape(): Promise<void> {
    while (!stopping.signal.aborted) {
      const response = await fetch(url, { headers: PROMETHEUS_HEADERS });
      await response.arrayBuffer();
      if (response.status !== 200) throw new Error(`A scrape got status ${response.status}`);
      await sleep(SECOND, undefined, { signal: stopping.signal }).catch(() => {});
    }
  }
  const scraping = scrape();
  // An error shows at the end.
  scraping.catch(() => {});
  return async function stopScraping() {
    stopping.abort();
    await scraping;
  };
}
