import assert from 'node:assert/strict';
import { Agent, get } from 'node:http';
import { text } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { whenDone } from '../../support/wait.ts';

/** The shop was scraped all the time. */
export interface Watched {
  scrapes: number;
  /** Milliseconds that the slowest scrape took, from the request to the last byte. */
  slowestMs: number;
  /** Every sample that went back or vanished, in words. */
  decreases: string[];
}

export interface Watch {
  /** Ends with one last scrape. */
  stop(): Promise<Watched>;
}

/** A scrape that takes longer has failed. */
const DEADLINE_MS = 5_000;
const PAUSE_MS = 25;

/** Scrapes without end, one at a time, and compares all samples that may never decrease. */
export function watchTotals(t: TestContext, opsUrl: string): Watch {
  const scraper = keepAliveScraper(`${opsUrl}/metrics`);
  const watched: Watched = { scrapes: 0, slowestMs: 0, decreases: [] };
  let before = new Map<string, number>();
  let watching = true;

  async function look(): Promise<void> {
    const { text, milliseconds } = await scraper.scrape();
    watched.scrapes += 1;
    watched.slowestMs = Math.max(watched.slowestMs, milliseconds);
    const now = readTotals(text);
    for (const [series, value] of before) {
      const current = now.get(series);
      if (current === undefined || !(current >= value)) {
        watched.decreases.push(`scrape ${watched.scrapes}: ${series} went from ${value} to ${current}`);
      }
    }
    before = now;
  }

  async function lookOn(): Promise<void> {
    while (watching) {
      await look();
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
    await look();
  }

  const ended = lookOn().finally(() => scraper.close());
  async function stop(): Promise<Watched> {
    watching = false;
    await ended;
    return watched;
  }
  whenDone(t, stop);
  // `stop` tells of a failure; until then it is nobody's unhandled rejection.
  ended.catch(() => {});
  return { stop };
}

export interface Scraper {
  /** @throws when the answer is not 200 */
  scrape(): Promise<{ text: string; milliseconds: number }>;
  close(): void;
}

/** Scrapes over one connection, which it keeps. */
export function keepAliveScraper(url: string): Scraper {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  return {
    scrape() {
      const start = performance.now();
      return new Promise((resolve, reject) => {
        get(url, { agent, signal: AbortSignal.timeout(DEADLINE_MS) }, async (response) => {
          try {
            const body = await text(response);
            assert.equal(response.statusCode, 200, body);
            resolve({ text: body, milliseconds: performance.now() - start });
          } catch (error) {
            reject(error);
          }
        }).on('error', reject);
      });
    },
    close: () => agent.destroy(),
  };
}

/** The samples that never decrease: of counters and histograms all, of summaries the sum and the count. */
export function readTotals(text: string): Map<string, number> {
  const totals = new Map<string, number>();
  let type = '';
  for (const line of text.split('\n')) {
    if (line.startsWith('# TYPE ')) type = line.slice(line.lastIndexOf(' ') + 1);
    if (line === '' || line.startsWith('#') || type === 'gauge') continue;
    const end = line.lastIndexOf(' ');
    const series = line.slice(0, end);
    const name = series.split('{', 1)[0] ?? '';
    if (type === 'summary' && !/_(sum|count)$/.test(name)) continue;
    totals.set(series, Number(line.slice(end + 1)));
  }
  return totals;
}
