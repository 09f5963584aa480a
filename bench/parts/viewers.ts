import { setTimeout as sleep } from 'node:timers/promises';
import { number } from '../../packages/cluster-metrics/bench/table.ts';
import type { Bench } from '../bench.ts';
import { startCpuTimer } from '../processes.ts';
import type { Part } from '../report.ts';
import type { BenchShop } from '../shop.ts';
import { formatSpread, interleave, quantile, ratioSpread, spreadOf } from '../statistics.ts';

const SECOND = 1000;
const VIEWERS = 100;
/** Part of a core that the viewers may cost the primary. */
const CORE_GOAL = 0.05;
/** A larger difference is more than noise. */
const SCRAPE_GOAL = 1.1;
/** A measurement takes this many times as many seconds, and so covers as many frames. */
const SECONDS_FACTOR = 10;
/** Between two visits, so that numbers change in each frame. */
const VISIT_MS = 50;
const SCRAPE_MS = 100;

interface Sample {
  /** Part of a core that the primary used. */
  cores: number;
  /** Median of the scrapes. */
  scrapeMs: number;
}

/** The primary with 100 pages open on its live stream, against the same with none, while visitors come. */
export async function measureViewers(bench: Bench): Promise<Part> {
  const shop = await bench.shop();
  const seconds = bench.effort.seconds * SECONDS_FACTOR;
  const [without = [], watched = []] = await interleave([0, VIEWERS], bench.effort.rounds, async (viewers) => {
    const leave = await openStreams(shop, viewers);
    const sample = await measurePrimary(shop, seconds);
    leave();
    return sample;
  });
  const cores = (samples: readonly Sample[]) => spreadOf(samples.map((sample) => sample.cores * 100));
  const scrape = (samples: readonly Sample[]) => spreadOf(samples.map((sample) => sample.scrapeMs));
  const added = spreadOf(watched.map((sample, round) => (sample.cores - (without[round]?.cores ?? 0)) * 100));
  const ratio = ratioSpread(without, watched, (sample) => sample.scrapeMs);
  return {
    title: 'Viewers of the live page',
    about: `The primary while ${VIEWERS} pages read its stream, against the same without viewers. Twenty pages a second are served and ten scrapes a second are answered meanwhile.`,
    head: ['figure', 'no viewer', `${VIEWERS} viewers`, 'difference'],
    rows: [
      [
        'primary’s CPU, % of a core',
        number(cores(without).median),
        number(cores(watched).median),
        `+${formatSpread(added)}`,
      ],
      ['a scrape, ms', number(scrape(without).median), number(scrape(watched).median), `× ${formatSpread(ratio)}`],
    ],
    goals: [
      {
        figure: `CPU of the primary for ${VIEWERS} viewers, % of a core`,
        measured: formatSpread(added),
        goal: `≤ ${CORE_GOAL * 100}`,
        reached: added.median <= CORE_GOAL * 100,
      },
      {
        figure: `time of a scrape with ${VIEWERS} viewers, to without`,
        measured: formatSpread(ratio),
        goal: `≤ ${SCRAPE_GOAL}`,
        reached: ratio.median <= SCRAPE_GOAL,
      },
    ],
  };
}

/** @returns ends them; an error of a stream shows in what the primary does then */
async function openStreams({ opsOrigin }: BenchShop, count: number): Promise<() => void> {
  const leaving = new AbortController();
  async function view(): Promise<void> {
    const response = await fetch(`${opsOrigin}/live/stream`, { signal: leaving.signal });
    if (response.status !== 200 || !response.body) throw new Error(`A stream got status ${response.status}`);
    void drain(response.body).catch(() => {});
  }
  await Promise.all(Array.from({ length: count }, view));
  return () => leaving.abort();
}

async function drain(body: ReadableStream<Uint8Array>): Promise<void> {
  const reader = body.getReader();
  let isDone = false;
  while (!isDone) isDone = (await reader.read()).done;
}

async function measurePrimary(shop: BenchShop, seconds: number): Promise<Sample> {
  const used = await startCpuTimer([await shop.primary()]);
  const startedMs = performance.now();
  const stopping = new AbortController();
  const pause = (ms: number) => sleep(ms, undefined, { signal: stopping.signal }).catch(() => {});
  const scrapes: number[] = [];

  async function visit(): Promise<void> {
    while (!stopping.signal.aborted) {
      await read(`${shop.origin}/detail/1`);
      await pause(VISIT_MS);
    }
  }
  async function scrape(): Promise<void> {
    while (!stopping.signal.aborted) {
      const before = performance.now();
      await read(`${shop.opsOrigin}/metrics`);
      scrapes.push(performance.now() - before);
      await pause(SCRAPE_MS);
    }
  }
  const working = Promise.all([visit(), scrape()]);
  await Promise.race([sleep(seconds * SECOND), working]);
  const cores = (await used()) / ((performance.now() - startedMs) / SECOND);
  stopping.abort();
  await working;
  return { cores, scrapeMs: quantile(scrapes, 0.5) };
}

async function read(url: string): Promise<void> {
  const response = await fetch(url);
  await response.arrayBuffer();
  if (response.status !== 200) throw new Error(`${url} got status ${response.status}`);
}
