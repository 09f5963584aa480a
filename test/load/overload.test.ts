import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Exposition } from '@techcommerce/cluster-metrics/testing';
import { type RunningCluster, readResources, startCluster } from '../support/cluster.ts';
import { until } from '../support/wait.ts';
import { type CrowdResult, quantile, sendCrowd } from './crowd.ts';

const SECOND = 1000;
/** A page that queries the database: one from memory waits for nothing, so none is refused. */
const PATH = '/cart';
const MEASURED_SECONDS = 5;
const OVERLOADED_SECONDS = 10;
const TIMES = 10;
const CLIENTS = 400;

/** A page is given up after 1.9 s. The rest is for answers that wait in the buffers of a busy machine. */
const SERVED_P99_MS = 4 * SECOND;
const REFUSED_MEDIAN_MS = 1 * SECOND;
/** Connections that are opened during the overload, and the longest wait of each for an answer or a refusal. */
const NEWCOMERS = 200;
const NEWCOMER_MS = 10 * SECOND;
/** Longest wait of a newcomer behind 2,000 visitors who have gone. */
const RECOVERY_MS = 15 * SECOND;
/** Least share of the pages that it serves without the crowd. */
const LEAST_GOODPUT = 0.2;
/** If another program takes the processor, too few pages are served; the overload is then repeated. */
const ATTEMPTS = 5;
const MEGABYTE = 2 ** 20;
const MEMORY_BYTES = 400 * MEGABYTE;

test('a shop with ten times the load that it can serve refuses quickly, stays bounded and recovers at once', async (t) => {
  const shop = await startCluster(t, { workers: 2 });
  const { workers } = await shop.status();
  const page = await shop.visitor().get('/');
  const cookie = page.headers
    .getSetCookie()
    .map((line) => line.split(';', 1)[0])
    .join('; ');

  const before = await shop.metrics();
  const watch = watchProcesses(shop);
  let overloaded = await overload(t, shop, cookie);
  for (let i = 1; i < ATTEMPTS && overloaded.goodput < LEAST_GOODPUT; i++) overloaded = await overload(t, shop, cookie);

  await impatientVisitors(shop.shopUrl);
  const startedMs = performance.now();
  await until('a newcomer is served', async () => (await shop.visitor().get('/shop')).status === 200, RECOVERY_MS);
  const recoveredMs = performance.now() - startedMs;
  const { memoryBytes, descriptors } = await watch.stop();
  t.diagnostic(
    `a newcomer after it: ${Math.round(recoveredMs)} ms; at most ${Math.round(memoryBytes / MEGABYTE)} MB and ${descriptors} descriptors in a process`,
  );

  const { goodput, newcomers, crowd } = overloaded;
  const { served, refused, complaints } = crowd;
  assert.deepEqual(complaints, []);
  assert.ok(refused.length > 0, 'more was wanted than could be served');
  assert.ok(goodput >= LEAST_GOODPUT, `only ${served.length} were served`);
  const servedP99 = quantile(served, 0.99);
  assert.ok(servedP99 < SERVED_P99_MS, `served pages: p99 ${servedP99} ms`);
  const refusedMedian = quantile(refused, 0.5);
  assert.ok(refusedMedian < REFUSED_MEDIAN_MS, `refused pages: median ${refusedMedian} ms`);
  const lastNewcomer = quantile(newcomers, 1);
  assert.ok(lastNewcomer < NEWCOMER_MS, `the last newcomer waited ${lastNewcomer} ms`);
  assert.ok(memoryBytes < MEMORY_BYTES, `a process had ${memoryBytes} bytes`);

  await until('nothing is left in flight', async () => (await shop.metrics()).of('http_requests_in_flight') === 0);
  const change = (await shop.metrics()).since(before);
  assert.ok(change.of('shop_errors_total', { type: 'overload', route: PATH }) > 0);
  const counted = refusals(change);
  assert.ok(counted >= refused.length, `${counted} of ${refused.length} refusals are counted`);
  assert.equal(change.of('shop_errors_total', { type: 'internal' }), 0);
  assert.deepEqual((await shop.status()).workers, workers);
});

interface Overload {
  crowd: CrowdResult;
  /** Share of its capacity that the shop served, 0 to 1. */
  goodput: number;
  /** Wait of each newcomer in milliseconds, sorted. */
  newcomers: number[];
}

/** Measures what the shop can serve, and then requests ten times as much. */
async function overload(t: TestContext, shop: RunningCluster, cookie: string): Promise<Overload> {
  const load = { origin: shop.shopUrl, path: PATH, cookie };
  const calm = await sendCrowd(t, { ...load, clients: 16, requestsPerSecond: 100_000, seconds: MEASURED_SECONDS });
  const capacity = calm.served.length / MEASURED_SECONDS;
  tell(t, 'as much as it can serve', calm, MEASURED_SECONDS);

  const before = await shop.metrics();
  const coming = sendCrowd(t, {
    ...load,
    clients: CLIENTS,
    requestsPerSecond: TIMES * capacity,
    seconds: OVERLOADED_SECONDS,
  });
  await until('the crowd is there', async () => refusals((await shop.metrics()).since(before)) > CLIENTS);
  const newcomers = await comeAllAtOnce(`${shop.shopUrl}${PATH}`, NEWCOMERS);
  const crowd = await coming;
  tell(t, `${TIMES} times that is wanted`, crowd, OVERLOADED_SECONDS);
  t.diagnostic(
    `${NEWCOMERS} newcomers at once meanwhile: median ${Math.round(quantile(newcomers, 0.5))} ms, the last after ${Math.round(quantile(newcomers, 1))} ms`,
  );
  return { crowd, goodput: crowd.served.length / (capacity * OVERLOADED_SECONDS), newcomers };
}

function refusals(scrape: Pick<Exposition, 'of'>): number {
  return scrape.of('http_request_duration_seconds_count', { route: PATH, status_code: 503 });
}

/** Visitors who all connect at the same moment. @returns the wait of each in milliseconds, sorted */
async function comeAllAtOnce(url: string, visitors: number): Promise<number[]> {
  const waits = await Promise.all(
    Array.from({ length: visitors }, async () => {
      const startedMs = performance.now();
      const response = await fetch(url, { headers: { connection: 'close' }, signal: AbortSignal.timeout(PATIENCE_MS) });
      assert.ok([200, 503].includes(response.status), `status ${response.status}`);
      await response.text();
      return performance.now() - startedMs;
    }),
  );
  return waits.sort((a, b) => a - b);
}

const PATIENCE_MS = 20 * SECOND;
const WAVES = 8;
const VISITORS_PER_WAVE = 250;
const IMPATIENCE_MS = 300;

/** Visitors who connect, send a request, and leave before the answer. */
async function impatientVisitors(origin: string): Promise<void> {
  const { hostname, port, host } = new URL(origin);
  for (let wave = 0; wave < WAVES; wave++) {
    const sockets = Array.from({ length: VISITORS_PER_WAVE }, () => {
      const socket = connect({ host: hostname, port: Number(port) });
      socket.on('error', () => {});
      socket.write(`GET /shop HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      return socket;
    });
    await sleep(IMPATIENCE_MS);
    for (const socket of sockets) socket.destroy();
  }
}

function tell(t: TestContext, what: string, { served, refused }: CrowdResult, seconds: number): void {
  const figures = [served, refused].map((latencies) => {
    const [median, p99] = [quantile(latencies, 0.5), quantile(latencies, 0.99)].map(Math.round);
    return `${Math.round(latencies.length / seconds)}/s (median ${median} ms, p99 ${p99} ms)`;
  });
  t.diagnostic(`${what}: served ${figures[0]}, refused ${figures[1]}`);
}

interface Peak {
  memoryBytes: number;
  descriptors: number;
}

const LOOK_MS = 500;

/** The highest values of any process of the shop, without the database's. */
function watchProcesses(shop: RunningCluster): { stop(): Promise<Peak> } {
  const peak: Peak = { memoryBytes: 0, descriptors: 0 };
  async function look(): Promise<void> {
    for (const { memoryBytes, descriptors } of await readResources(shop)) {
      peak.memoryBytes = Math.max(peak.memoryBytes, memoryBytes);
      peak.descriptors = Math.max(peak.descriptors, descriptors);
    }
  }
  let watching = true;
  const watched = (async () => {
    while (watching) {
      await look();
      await sleep(LOOK_MS);
    }
  })();
  return {
    async stop() {
      watching = false;
      await watched;
      return peak;
    },
  };
}
