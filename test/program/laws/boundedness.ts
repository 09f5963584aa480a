import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { Exposition } from '@techcommerce/cluster-metrics/testing';
import { startCluster } from '../../support/cluster.ts';
import { COMBINATIONS, sendGarbage, sendHostileRequests } from './hostile-requests.ts';

/** Statuses that tell of the machine's load, not of the request: too slow, and hung up meanwhile. */
const OF_LOAD = /status_code="(503|499)"/;
/** What Node.js happens to be busy with. */
const OF_MOMENT = /^nodejs_active_\w+\{type="\w+"\}$/;

/** Warms up with one request of each kind; then nothing that further ones say may become a series. */
export async function proveSeriesAreBounded(t: TestContext, { requests }: { requests: number }): Promise<void> {
  const shop = await startCluster(t, { workers: 2 });
  await sendHostileRequests(shop.shopUrl, COMBINATIONS);
  await sendGarbage(shop.shopUrl, 12);
  const before = await shop.metrics();

  await sendHostileRequests(shop.shopUrl, requests);
  await sendGarbage(shop.shopUrl, requests / 100);
  const after = await shop.metrics();

  assert.deepEqual(addedSeries(before, after), []);
  const counted = after.since(before).of('http_request_duration_seconds_count');
  assert.ok(counted >= 0.8 * requests, `${counted} of ${requests} requests reached the shop`);
  t.diagnostic(
    `${counted} requests reached the shop, ${seriesOf(before).size} samples before, ${seriesOf(after).size} after`,
  );
}

/** Series that came between two scrapes, but for those that tell of the machine's load or of the moment. */
export function addedSeries(before: Exposition, after: Exposition): string[] {
  const known = seriesOf(before);
  return [...seriesOf(after)].filter(
    (series) => !known.has(series) && !OF_LOAD.test(series) && !OF_MOMENT.test(series),
  );
}

function seriesOf({ samples }: Exposition): Set<string> {
  return new Set(samples.map(({ series }) => series));
}
