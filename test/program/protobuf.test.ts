import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Exposition, parseExposition } from '@techcommerce/cluster-metrics/testing';
import {
  type Family,
  type Metric,
  readBuckets,
  readProtobuf,
} from '../../packages/cluster-metrics/test/support/protobuf.ts';
import { startCluster } from '../support/cluster.ts';
import { BACKPACK } from '../support/visitor.ts';
import { until } from '../support/wait.ts';

/** What Prometheus 2.42 sends with `--enable-feature=native-histograms`. */
const ACCEPT =
  'application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1';

/** Each request has a connection of its own, as a worker that is killed takes those that are open with it. */
const CLOSE = { connection: 'close' };

async function scrape(url: string, accept: string): Promise<{ type: string; body: Buffer }> {
  const response = await fetch(`${url}/metrics`, {
    headers: { accept, ...CLOSE },
    signal: AbortSignal.timeout(10_000),
  });
  assert.equal(response.status, 200);
  return { type: response.headers.get('content-type') ?? '', body: Buffer.from(await response.arrayBuffer()) };
}

async function scrapeText(url: string): Promise<Exposition> {
  return parseExposition((await scrape(url, 'text/plain')).body.toString());
}

function keyOf(name: string, labels: Iterable<readonly [string, string]>): string {
  return JSON.stringify([name, ...[...labels].sort(([a], [b]) => (a < b ? -1 : 1))]);
}

/** The totals of a page in protobuf, by the names and labels that they have in the text. */
function totalsOf(families: ReadonlyMap<string, Family>): Map<string, number> {
  const totals = new Map<string, number>();
  for (const { name, metric } of families.values()) {
    for (const one of metric) addTotals(totals, name, one);
  }
  return totals;
}

function addTotals(
  totals: Map<string, number>,
  name: string,
  { label = [], counter, summary, histogram }: Metric,
): void {
  const labels = label.map(({ name, value }) => [name, value] as const);
  if (counter !== undefined) totals.set(keyOf(name, labels), counter.value);
  const observed = summary ?? histogram;
  if (observed === undefined) return;
  totals.set(keyOf(`${name}_count`, labels), observed.sampleCount);
  totals.set(keyOf(`${name}_sum`, labels), observed.sampleSum);
  for (const { upperBound, cumulativeCount } of histogram?.bucket ?? []) {
    totals.set(keyOf(`${name}_bucket`, [...labels, ['le', String(upperBound)]]), cumulativeCount);
  }
}

/** The same of a page in text. The bucket +Inf is the count, and not in protobuf. */
function totalsOfText({ samples }: Exposition): Map<string, number> {
  const totals = samples.filter(
    ({ type, labels }) =>
      ['counter', 'histogram', 'summary'].includes(type) && labels.quantile === undefined && labels.le !== '+Inf',
  );
  return new Map(totals.map(({ name, labels, value }) => [keyOf(name, Object.entries(labels)), value]));
}

test('both ports show in protobuf what they show in text, workers that were killed included', async (t) => {
  const shop = await startCluster(t, { workers: 2 });
  const shopper = shop.visitor();
  const browse = async () => {
    for (let i = 0; i < 10; i++) assert.equal((await shopper.get(`/detail/${BACKPACK.id}`, CLOSE)).status, 200);
    await shopper.post(`/add_to_cart/${BACKPACK.id}`, { quantity: 1 }, CLOSE);
  };
  await browse();
  // One after the other: the port is that of a free choice, which the other worker holds meanwhile.
  for (const { worker, pid } of (await shop.status()).workers) {
    process.kill(pid as number, 'SIGKILL');
    await until(`worker ${worker} is replaced`, async () => {
      const { workers } = await shop.status();
      return workers.some((each) => each.worker === worker && each.state === 'serving' && each.pid !== pid);
    });
  }
  await browse();

  for (const url of [shop.opsUrl, shop.shopUrl]) {
    const before = totalsOfText(await scrapeText(url));
    const { type, body } = await scrape(url, ACCEPT);
    assert.match(
      type,
      /^application\/vnd\.google\.protobuf; *proto=io\.prometheus\.client\.MetricFamily; *encoding=delimited$/,
    );
    const families = readProtobuf(body);
    const totals = totalsOf(families);
    const after = totalsOfText(await scrapeText(url));
    // Totals only grow: one that two scrapes agree about had this value between them.
    const still = [...before].filter(([key, value]) => after.get(key) === value);
    assert.ok(still.length > 1_000, `${still.length} of ${before.size} totals stood still`);
    for (const [key, value] of still) assert.equal(totals.get(key), value, key);

    const pages = families
      .get('http_request_duration_seconds')
      ?.metric.filter(({ label = [] }) => label.some(({ name, value }) => name === 'route' && value === '/detail/:id'));
    const native = (pages ?? []).flatMap(({ histogram }) => [
      ...readBuckets(histogram?.positiveSpan, histogram?.positiveDelta).values(),
    ]);
    assert.equal(
      native.reduce((sum, count) => sum + count, 0),
      20,
      'native buckets hold what both lives counted',
    );
    const views = (await scrapeText(url)).of('shop_product_views_total', { product: BACKPACK.slug });
    assert.equal(views, 20);
  }
});
