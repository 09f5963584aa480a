import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import {
  ClusterRegistry,
  createMetricsHandler,
  createStoreDirectory,
  Histogram,
  openStore,
  Summary,
  WorkerRegistry,
} from '@techcommerce/cluster-metrics';
import { readProtobuf } from '../../packages/cluster-metrics/test/support/protobuf.ts';
import { startCluster } from '../support/cluster.ts';
import { startPrometheus } from '../support/prometheus.ts';
import { atCheckout, CUSTOMER } from '../support/visitor.ts';
import { until } from '../support/wait.ts';

const WORKERS = 2;

/** An instance with two stores and the handler of `/metrics`. */
async function startInstance(t: TestContext) {
  const directory = createStoreDirectory({ name: 'native' });
  const registry = new ClusterRegistry({ directory: directory.path });
  const workers = Array.from({ length: WORKERS }, (_, i) => {
    const store = openStore({ directory: directory.path, worker: i + 1 });
    const common = { help: 'help', labelNames: ['part'] as const, registers: [new WorkerRegistry(store)] };
    t.after(() => store.close());
    return {
      store,
      histogram: new Histogram({ ...common, name: 'page_seconds', native: true }),
      summary: new Summary({ ...common, name: 'query_seconds', nativeHistogram: 'query_histogram_seconds' }),
    };
  });
  const server = createServer(createMetricsHandler(registry)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
    registry.close();
    directory.remove();
  });
  return { registry, workers, target: `127.0.0.1:${(server.address() as AddressInfo).port}` };
}

/** Nearest rank, which is also the bucket that Prometheus looks into. */
function exactQuantile(values: readonly number[], q: number): number {
  const ascending = Float64Array.from(values).sort();
  return ascending[Math.max(1, Math.ceil(q * ascending.length)) - 1] as number;
}

test('a real Prometheus finds the quantiles of two unequal instances together, within one native bucket', async (t) => {
  const instances = [await startInstance(t), await startInstance(t)];
  const prometheus = await startPrometheus(t, {
    flags: ['--enable-feature=native-histograms'],
    config: {
      global: { scrape_interval: '1s' },
      scrape_configs: [{ job_name: 'native', static_configs: [{ targets: instances.map(({ target }) => target) }] }],
    },
  });
  // Series without observations come first, as in the shop, and are native too.
  for (const { workers } of instances) {
    for (const { histogram, summary, store } of workers) {
      for (const part of ['idle', 'busy']) {
        histogram.zero({ part });
        summary.zero({ part });
      }
      store.flush();
    }
  }
  await prometheus.scraped();
  assert.equal(await prometheus.value('sum(histogram_count(page_seconds))'), 0);

  // One is slow and seldom asked: no average of two medians, nor the greater of them, is the median of both.
  const values: number[] = [];
  for (const [instance, { workers }] of instances.entries()) {
    const [count, middle] = instance === 0 ? [60, 0.094] : [3331, 0.002];
    for (let i = 0; i < count; i++) {
      const value = middle * Math.exp(0.25 * (Math.random() + Math.random() + Math.random() - 1.5));
      values.push(value);
      const { histogram, summary } = workers[i % WORKERS] as (typeof workers)[number];
      histogram.observe({ part: 'busy' }, value);
      summary.observe({ part: 'busy' }, value);
    }
    for (const { store } of workers) store.flush();
  }
  await prometheus.scraped();

  for (const name of ['page_seconds', 'query_histogram_seconds']) {
    assert.equal(await prometheus.value(`histogram_count(sum(${name}))`), values.length);
    const sum = values.reduce((total, value) => total + value, 0);
    assert.ok(Math.abs((await prometheus.value(`histogram_sum(sum(${name}))`)) / sum - 1) < 1e-9);
    const schemas = await Promise.all(
      instances.map(async ({ registry }) => {
        const page = await registry.exposition({ contentType: ClusterRegistry.PROTOBUF_CONTENT_TYPE });
        const metrics = readProtobuf(page).get(name)?.metric ?? [];
        return metrics.map(({ histogram }) => histogram?.schema as number);
      }),
    );
    const schema = Math.min(...schemas.flat());
    assert.equal(schema, 6, 'these values need fewer than 160 buckets');
    for (const q of [0.1, 0.5, 0.9, 0.99]) {
      const found = await prometheus.value(`histogram_quantile(${q}, sum(${name}))`);
      const exact = exactQuantile(values, q);
      assert.ok(
        Math.abs(found / exact - 1) <= 2 ** (2 ** -schema) - 1 + 1e-9,
        `${name} ${q}: ${found} instead of ${exact}`,
      );
    }
  }
  assert.deepEqual(
    (await prometheus.targets()).map(({ health, lastError }) => [health, lastError]),
    [
      ['up', ''],
      ['up', ''],
    ],
  );
});

interface FoundExemplars {
  seriesLabels: Record<string, string>;
  exemplars: { labels: Record<string, string>; value: string }[];
}

test("a real Prometheus has the shop's exemplars, whose requests are in the log, from text and from protobuf", async (t) => {
  const shop = await startCluster(t, { workers: WORKERS });
  const config = {
    global: { scrape_interval: '1s' },
    scrape_configs: [{ job_name: 'shop', static_configs: [{ targets: [new URL(shop.opsUrl).host] }] }],
  };
  const startedSeconds = Date.now() / 1000;
  const logged = (id: string) =>
    shop
      .output()
      .split('\n')
      .filter((line) => line.includes(id))
      .map((line) => JSON.parse(line));
  for (const { features, suffix } of [
    { features: 'exemplar-storage', suffix: '_bucket' },
    { features: 'exemplar-storage,native-histograms', suffix: '' },
  ]) {
    const prometheus = await startPrometheus(t, { flags: [`--enable-feature=${features}`], config });
    const { shopper, hidden } = await atCheckout(shop);
    assert.equal((await shopper.post('/checkout', { ...CUSTOMER, ...hidden })).status, 302);
    for (let i = 0; i < 10; i++) await shopper.get('/detail/1');
    const find = (query: string) =>
      prometheus.api<FoundExemplars[]>('query_exemplars', {
        query,
        start: String(startedSeconds),
        end: String(Date.now() / 1000 + 1),
      });
    const durations = await until('exemplars of the checkout', async () => {
      const found = await find(`http_request_duration_seconds${suffix}`);
      return found.some(({ seriesLabels: { method, route } }) => `${method} ${route}` === 'POST /checkout') && found;
    });
    for (const { seriesLabels, exemplars } of durations) {
      for (const { labels } of exemplars) {
        const [line] = logged(labels.request_id ?? '');
        assert.equal(line?.route, seriesLabels.route, JSON.stringify({ seriesLabels, labels }));
        assert.equal(String(line?.status), seriesLabels.status_code);
      }
    }
    const phases = await find(`shop_checkout_phase_duration_seconds${suffix}`);
    assert.deepEqual(
      new Set(phases.map(({ seriesLabels }) => seriesLabels.phase)),
      new Set(['validate', 'reserve', 'payment', 'commit']),
    );
    for (const { labels } of phases.flatMap(({ exemplars }) => exemplars)) {
      assert.equal(logged(labels.request_id ?? '')[0]?.route, '/checkout');
    }
  }
});
