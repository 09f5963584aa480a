import assert from 'node:assert/strict';
import { Agent } from 'node:http';
import type { TestContext } from 'node:test';
import type { Exposition } from '@techcommerce/cluster-metrics/testing';
import { startCluster } from '../../support/cluster.ts';
import { BROKEN_REQUESTS, COMBINATIONS, combinedRequest, send, sendRaw } from '../../support/hostile.ts';

const CLIENTS = 8;
/** Statuses that depend on the machine's load, not on the request: 503 when it is too slow, 499 when the client hung up. */
const OF_LOAD = /status_code="(503|499)"/;
/** What Node.js is busy with at the moment. */
const OF_MOMENT = /^nodejs_active_\w+\{type="\w+"\}$/;

/** Sends one request of each kind; requests of the same kinds with other words must not add a series after that. */
export async function proveSeriesAreBounded(t: TestContext, { requests }: { requests: number }): Promise<void> {
  const shop = await startCluster(t, { workers: 2 });
  await sendCombined(shop.shopUrl, COMBINATIONS);
  await sendBroken(t, shop.shopUrl, BROKEN_REQUESTS.length);
  const before = await shop.metrics();

  await sendCombined(shop.shopUrl, requests);
  await sendBroken(t, shop.shopUrl, requests / 100);
  const after = await shop.metrics();

  assert.deepEqual(addedSeries(before, after), []);
  const counted = after.since(before).of('http_request_duration_seconds_count');
  assert.ok(counted >= 0.8 * requests, `${counted} of ${requests} requests reached the shop`);
  t.diagnostic(
    `${counted} requests reached the shop, ${seriesOf(before).size} samples before, ${seriesOf(after).size} after`,
  );
}

/** Any answer is fine, and so is none. */
async function sendCombined(origin: string, count: number): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS });
  let next = 0;
  async function client(): Promise<void> {
    while (next < count) await send(origin, combinedRequest(next++), agent).catch(() => {});
  }
  await Promise.all(Array.from({ length: CLIENTS }, client));
  agent.destroy();
}

async function sendBroken(t: TestContext, origin: string, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await sendRaw(t, origin, BROKEN_REQUESTS[i % BROKEN_REQUESTS.length]?.() ?? '');
}

/** Series that are new in the second scrape, without those that depend on the machine's load or on the moment. */
export function addedSeries(before: Exposition, after: Exposition): string[] {
  const known = seriesOf(before);
  return [...seriesOf(after)].filter(
    (series) => !known.has(series) && !OF_LOAD.test(series) && !OF_MOMENT.test(series),
  );
}

function seriesOf({ samples }: Exposition): Set<string> {
  return new Set(samples.map(({ series }) => series));
}
