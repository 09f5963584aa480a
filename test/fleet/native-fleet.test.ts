import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { projectRoot } from '../../src/paths.ts';
import { expressionsOf, interpolate, readDashboards } from '../support/dashboards.ts';
import { until } from '../support/wait.ts';
import { type Fleet, startFleet } from './fleet.ts';
import { startShoppers } from './shoppers.ts';

/** Between two deaths. */
const REQUESTS = 100;
const SERVE_DEADLINE_MS = 10 * 60_000;
/** Asked by HAProxy and Prometheus, not by the shoppers. */
const SHOPPERS = 'route!~"/readyz|/livez|/metrics"';

test('native histograms of a fleet are those of its clients, through deaths of workers', async (t) => {
  const { fleet, addresses } = await startFleet(t, {
    workers: 4,
    // A Prometheus 2.42 with this flag takes no classic buckets beside the native ones: what has data is native.
    flags: ['--enable-feature=native-histograms'],
    rules: { 'recording.yml': readFileSync(join(projectRoot, 'monitoring/prometheus/rules/recording.yml'), 'utf8') },
  });
  const { prometheus, lives } = fleet;
  const products = await fleet.database.knex('products').select('id', 'slug');
  const shoppers = startShoppers(t, fleet.balancer.url, { count: 4, products });
  const { tally } = shoppers;
  async function serveMore(): Promise<void> {
    shoppers.resume();
    const before = tally.sizes.length;
    await until('the shoppers are served', () => tally.sizes.length >= before + REQUESTS, SERVE_DEADLINE_MS);
    await shoppers.pause();
  }
  await serveMore();
  for (const [place, { shop }] of lives.entries()) {
    process.kill((await shop.status()).workers[place]?.pid as number, 'SIGKILL');
    await until('the death is seen', async () => (await shop.status()).workers[place]?.restarts === 1);
    await serveMore();
  }
  // What the dashboards show is a rate: it needs two scrapes with something between them.
  await prometheus.scraped(addresses.map(fleet.labelOf));
  const since = Date.now() / 1000;
  await serveMore();
  await prometheus.scraped(addresses.map(fleet.labelOf));
  assert.deepEqual(tally.failures, []);

  assert.equal((await prometheus.query('http_response_size_bytes_bucket')).length, 0, 'only native buckets are stored');
  const sizes = Float64Array.from(tally.sizes).sort();
  const all = `sum(http_response_size_bytes{${SHOPPERS}})`;
  assert.equal(await prometheus.value(`histogram_count(${all})`), sizes.length);
  const sum = sizes.reduce((total, size) => total + size, 0);
  assert.equal(await prometheus.value(`histogram_sum(${all})`), sum);
  const labels = ['method', 'route', 'status_code'];
  const counted = await prometheus.query(
    `histogram_count(sum by (${labels.join()}) (http_request_duration_seconds{${SHOPPERS}})) > 0`,
  );
  const answers = counted.map(({ labels: of, value }) => [labels.map((name) => of[name]).join(' '), value] as const);
  assert.deepEqual(Object.fromEntries(answers), Object.fromEntries(tally.answers));
  // Bounds of schema 6 grow by 1.1 % from one bucket to the next.
  const width = 2 ** (2 ** -6) - 1 + 1e-9;
  for (const q of [0.1, 0.25, 0.5, 0.75, 0.9, 0.99]) {
    const exact = sizes[Math.max(1, Math.ceil(q * sizes.length)) - 1] as number;
    const found = await prometheus.value(`histogram_quantile(${q}, ${all})`);
    assert.ok(Math.abs(found / exact - 1) <= width, `${q}: ${found} instead of ${exact}`);
  }
  await assertNativeQueries(fleet, since);
});

/** Each quantile of the dashboards and of the recording rules is there, though no classic bucket is. */
async function assertNativeQueries({ prometheus }: Fleet, since: number): Promise<void> {
  const quantiles = [...readDashboards().values()]
    .flatMap(expressionsOf)
    .filter(({ expr }) => expr.includes('histogram_quantile('))
    // Not of the shop's traffic: the primary's scrapes, and payments by Pix.
    .filter(({ expr }) => !/shop_metrics_scrape|by \(method\)/.test(expr));
  assert.ok(quantiles.length > 8, `${quantiles.length}`);
  const recorded = [
    'route:http_request_duration_seconds',
    'shop:http_request_duration_seconds',
    'operation:shop_db_operation_duration_seconds',
  ];
  const queries = [...quantiles.map(({ expr }) => expr), ...recorded.map((name) => `${name}:p95_5m`)];
  let missing = queries;
  await until('all quantiles have data', async () => {
    const values = { job: '.+', instance: '.+', route: '.+', __rate_interval: '1m', __range: '1m' };
    const courses = await Promise.all(
      missing.map((expr) => prometheus.queryRange(interpolate(expr, values), since, Date.now() / 1000, 1)),
    );
    missing = missing.filter((_, i) => !courses[i]?.some(({ points }) => points.some(([, value]) => value > 0)));
    return missing.length === 0;
  }).catch((error) => {
    throw new Error([error.message, ...missing].join('\n'));
  });
}
