import assert from 'node:assert/strict';
import { Agent, get } from 'node:http';
import { text } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { parseExposition } from '@techcommerce/cluster-metrics/testing';
import { whenDone } from '../../support/wait.ts';

/** The result of scraping all the time. */
export interface Watched {
  scrapes: number;
  /** Milliseconds that the slowest scrape took, from the request to the last byte. */
  slowestMs: number;
  /** Every total that decreased or vanished, in words. */
  decreases: string[];
}

export interface Watch {
  /** Ends with one last scrape. */
  stop(): Promise<Watched>;
}

/** A scrape that takes longer has failed. */
const DEADLINE_MS = 5_000;
const PAUSE_MS = 25;

/** Scrapes without a pause, one scrape at a time, and compares all totals with those of the scrape before. */
export function watchTotals(t: TestContext, opsUrl: string): Watch {
  const scraper = keepAliveScraper(`${opsUrl}/metrics`);
  const watched: Watched = { scrapes: 0, slowestMs: 0, decreases: [] };
  let before = parseExposition('');
  let watching = true;

  async function look(): Promise<void> {
    const { text, milliseconds } = await scraper.scrape();
    watched.scrapes += 1;
    watched.slowestMs = Math.max(watched.slowestMs, milliseconds);
    const now = parseExposition(text);
    watched.decreases.push(...now.decreases(before).map((decrease) => `scrape ${watched.scrapes}: ${decrease}`));
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
  // `stop` reports a failure; until then it must not be an unhandled rejection.
  ended.catch(() => {});
  return { stop };
}

export interface Scraper {
  /** @throws when the answer is not 200 */
  scrape(): Promise<{ text: string; milliseconds: number }>;
  close(): void;
}

/** Scrapes over one kept connection. */
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
