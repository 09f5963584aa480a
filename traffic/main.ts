/*
 * `npm run traffic`: shoppers in a running shop. README.md shows how to use it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Exposition } from '@techcommerce/cluster-metrics/testing';
import { handleSignals } from '../src/cluster/signals.ts';
import { StartError } from '../src/start-error.ts';
import { createMetricsSource, type MetricsSource, readRoutes } from './metrics.ts';
import { HELP, type Options, readOptions } from './options.ts';
import { createReport, formatReport } from './report.ts';
import { createStatusLine, describeProgress } from './status-line.ts';
import { createTally, type Tally } from './tally.ts';
import { startTraffic, type Traffic } from './traffic.ts';

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
/** The shop writes visits once a second, and its gauges of people are up to two seconds old. */
const SETTLING_MS = 5 * SECOND_MS;
const POLL_MS = 250;
const DEADLINE_MS = 10 * SECOND_MS;

try {
  const options = readOptions(process.argv.slice(2));
  if (options === 'help') process.stdout.write(HELP);
  else await run(options);
} catch (error) {
  if (!(error instanceof StartError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}

async function run(options: Options): Promise<void> {
  const { url, metricsUrl, minutes, shoppers, seed } = options;
  await checkShop(url);
  const source = createMetricsSource(metricsUrl, process.env.METRICS_TOKEN);
  const before = await source.scrape();

  const interruption = new AbortController();
  const interrupt = () => interruption.abort();
  handleSignals({ stop: interrupt, abandon() {}, reload: interrupt });
  const people = shoppers === 1 ? '1 shopper' : `${shoppers} shoppers`;
  process.stdout.write(`${people} in ${url.origin}, seed ${seed}. Watch ${metricsUrl.origin}. Ctrl-C ends it.\n`);

  const tally = createTally(readRoutes(before));
  const traffic = startTraffic(options, tally);
  const startedMs = performance.now();
  const status = createStatusLine(process.stdout, () =>
    describeProgress(tally, traffic.online(), performance.now() - startedMs, minutes * MINUTE_MS),
  );
  await sleep(minutes * MINUTE_MS, undefined, { signal: interruption.signal }).catch(() => {});
  await traffic.end();
  status.end();
  await report(tally, traffic, source, before);
}

async function checkShop(url: URL): Promise<void> {
  const response = await fetch(new URL('/livez', url), { signal: AbortSignal.timeout(DEADLINE_MS) }).catch(() => null);
  if (response?.ok) return;
  throw new StartError(
    `No shop answers at ${url.origin}: start it in another terminal with npm start, or name its address with --url.`,
  );
}

async function report(tally: Tally, traffic: Traffic, source: MetricsSource, before: Exposition): Promise<void> {
  const people = { online: traffic.online(), withCart: traffic.withCart() };
  const show = (after?: Exposition, settled?: Exposition) =>
    process.stdout.write(`\n${formatReport(createReport({ tally, ...people, before, after, settled }))}\n`);
  try {
    const after = await source.scrape();
    show(after, await settle(source, people));
  } catch (error) {
    show();
    throw error;
  }
}

/** Scrapes until the gauges of people have followed, or had the time for it. */
async function settle(source: MetricsSource, people: { online: number; withCart: number }): Promise<Exposition> {
  const deadlineMs = performance.now() + SETTLING_MS;
  for (;;) {
    const scrape = await source.scrape();
    const isSettled =
      scrape.get('shop_active_sessions') === people.online &&
      scrape.get('shop_active_cart_sessions') === people.withCart;
    if (isSettled || performance.now() > deadlineMs) return scrape;
    await sleep(POLL_MS);
  }
}
