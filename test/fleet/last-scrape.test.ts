import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type RunningCluster, startCluster } from '../support/cluster.ts';
import { startPrometheus } from '../support/prometheus.ts';
import { until } from '../support/wait.ts';

/** As in the shipped configurations. */
const SCRAPE_SECONDS = 5;
const WAITS = 'one more scrape is awaited';

/** Sends one request after the other until the shop takes none any more. @returns how many were answered */
async function visitToTheEnd(shopUrl: string): Promise<number> {
  for (let answered = 0; ; answered++) {
    const status = await fetch(`${shopUrl}/contact`).then(
      (response) => response.status,
      () => null,
    );
    if (status === null) return answered;
    assert.equal(status, 200);
  }
}

test('what an instance serves until it drains reaches each Prometheus that scrapes it', async (t) => {
  const shop = await startCluster(t, { workers: 1 });
  const instance = new URL(shop.opsUrl).host;
  const options = {
    config: {
      global: { scrape_interval: `${SCRAPE_SECONDS}s` },
      scrape_configs: [{ job_name: 'fake-shop', static_configs: [{ targets: [instance] }] }],
    },
  };
  // A pair, as for high availability. Here both have one address.
  const servers = await Promise.all([startPrometheus(t, options), startPrometheus(t, options)]);
  await Promise.all(servers.map((prometheus) => prometheus.scraped()));
  const stopped = shop.stop('SIGTERM');
  await until('balancers are told, over new connections', async () => {
    const { status } = await fetch(`${shop.shopUrl}/readyz`, { headers: { connection: 'close' } });
    return status === 503;
  });
  const answered = await visitToTheEnd(shop.shopUrl);
  assert.deepEqual(await stopped, { code: 0, signal: null });
  assert.match(shop.output(), new RegExp(WAITS));
  assert.doesNotMatch(shop.output(), /the last scrape did not come/);
  for (const prometheus of servers) {
    const served = 'http_request_duration_seconds_count{route="/contact",status_code="200"}';
    assert.equal(await prometheus.value(`last_over_time(${served}[10m])`), answered);
  }
});

test('the shop does not wait for the last scrape of a person, after Ctrl-C, or for one that does not come', async (t) => {
  const asPrometheus = { 'x-prometheus-scrape-timeout-seconds': '5' };
  const scrape = async (shop: RunningCluster, headers: Record<string, string>) =>
    assert.equal((await fetch(`${shop.opsUrl}/metrics`, { headers })).status, 200);

  const read = await startCluster(t, { workers: 1 });
  await scrape(read, { 'user-agent': 'curl' });
  await read.stop('SIGTERM');
  assert.doesNotMatch(read.output(), new RegExp(WAITS));

  const interrupted = await startCluster(t, { workers: 1 });
  await scrape(interrupted, asPrometheus);
  await interrupted.stop('SIGINT');
  assert.doesNotMatch(interrupted.output(), new RegExp(WAITS));

  // Longer than the notice and the drain of a busy machine: the scrape before is recent enough to wait for another.
  const forgotten = await startCluster(t, { workers: 1, env: { LAST_SCRAPE_SECONDS: '15' } });
  await scrape(forgotten, asPrometheus);
  assert.deepEqual(await forgotten.stop('SIGTERM'), { code: 0, signal: null });
  assert.match(forgotten.output(), new RegExp(`${WAITS}.*the last scrape did not come`, 's'));
});
