import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as prom from 'prom-client';
import {
  ClusterRegistry,
  Counter,
  Gauge,
  Histogram,
  type RegistryContentType,
  Summary,
  WorkerRegistry,
} from '../src/index.ts';
import { parseExposition } from '../src/testing/index.ts';
import { openCluster } from './support/stores.ts';

test('the text format has help, type, escaped labels and cumulative buckets', async (t) => {
  const { workers, scrape } = openCluster(t, 2);
  for (const { counter, histogram, summary } of workers) {
    counter.inc({ kind: 'quote " backslash \\ newline \n' }, 2);
    for (const size of [0.5, 1, 5, 500]) histogram.observe({ route: '/' }, size);
    summary.observe(3);
  }
  const { text } = await scrape();
  const ours = text.slice(0, text.indexOf('# HELP cluster_metrics'));
  const median = (ours.match(/quantile="0.5"} (\S+)/) ?? [])[1];
  assert.equal(
    ours,
    `# HELP acts_total help
# TYPE acts_total counter
acts_total{kind="quote \\" backslash \\\\ newline \\n"} 4
# HELP depth help
# TYPE depth gauge
depth 0
# HELP size_bytes help
# TYPE size_bytes histogram
size_bytes_bucket{route="/",le="1"} 4
size_bytes_bucket{route="/",le="10"} 6
size_bytes_bucket{route="/",le="100"} 6
size_bytes_bucket{route="/",le="+Inf"} 8
size_bytes_sum{route="/"} 1013
size_bytes_count{route="/"} 8
# HELP took_seconds help
# TYPE took_seconds summary
took_seconds{quantile="0.5"} ${median}
took_seconds{quantile="0.9"} ${median}
took_seconds{quantile="0.95"} ${median}
took_seconds{quantile="0.99"} ${median}
took_seconds_sum 6
took_seconds_count 2
`,
  );
});

test('OpenMetrics has counter families without _total, units, an end mark and no blank line', async (t) => {
  const { workers, scrape } = openCluster(t, 1);
  workers[0]?.counter.inc({ kind: 'a' });
  workers[0]?.histogram.observe({ route: '/' }, 5);
  const { text } = await scrape({ openMetrics: true });
  const lines = text.split('\n');
  assert.ok(text.endsWith('\n# EOF\n'));
  assert.ok(text.includes('# HELP acts help\n# TYPE acts counter\nacts_total{kind="a"} 1\n'));
  assert.ok(text.includes('# TYPE size_bytes histogram\n# UNIT size_bytes bytes\n'));
  assert.ok(text.includes('# TYPE took_seconds summary\n# UNIT took_seconds seconds\n'));
  assert.equal(lines.indexOf(''), lines.length - 1);
});

test('both formats show the same samples', async (t) => {
  const { workers, scrape } = openCluster(t, 2);
  for (const { counter, summary } of workers) {
    counter.inc({ kind: 'a' });
    summary.observe(0.2);
  }
  const own = async (openMetrics: boolean) => {
    const { samples } = await scrape({ openMetrics });
    return samples.filter(({ name }) => !name.startsWith('cluster_metrics'));
  };
  assert.deepEqual(await own(true), await own(false));
});

test('metrics of the primary are merged with those of the workers', async (t) => {
  const { directory, workers } = openCluster(t, 2);
  const primary = new WorkerRegistry();
  const plain = new prom.Registry();
  const registry = new ClusterRegistry({ directory, registers: [primary, plain], prefix: 'shop_metrics_' });
  t.after(() => registry.close());
  new Counter({ name: 'acts_total', help: 'help', labelNames: ['kind'], registers: [primary] }).inc({ kind: 'a' }, 5);
  new Summary({ name: 'own_seconds', help: 'help', percentiles: [0.5], registers: [primary] }).observe(0);
  new prom.Gauge({ name: 'host_load', help: 'help', registers: [plain], collect: (): void => load.set(3) });
  const load = plain.getSingleMetric('host_load') as prom.Gauge;
  new prom.Histogram({ name: 'sizes', help: 'help', buckets: [1, 2], registers: [plain] }).observe(1.5);
  new prom.Counter({ name: 'on_itself_total', help: 'help', registers: [registry] }).inc(2);
  for (const { counter } of workers) counter.inc({ kind: 'a' }, 1);

  const samples = parseExposition(await registry.clusterMetrics());
  assert.equal(samples.of('acts_total{kind="a"}'), 7);
  assert.equal(samples.of('own_seconds{quantile="0.5"}'), 0);
  assert.equal(samples.of('host_load'), 3);
  assert.equal(samples.of('sizes_bucket{le="1"}'), 0);
  assert.equal(samples.of('sizes_bucket{le="2"}'), 1);
  assert.equal(samples.of('sizes_count'), 1);
  assert.equal(samples.of('on_itself_total'), 2);

  const alone = parseExposition(await registry.clusterMetrics({ worker: 2 }));
  assert.equal(alone.of('acts_total{kind="a"}'), 1, 'one worker alone is without the primary');
  assert.ok(!alone.has('host_load'));
});

test('the registry has metrics of its own', async (t) => {
  const startedMs = performance.now();
  const { scrape } = openCluster(t, 2);
  await scrape();
  const samples = await scrape();
  assert.equal(samples.of('cluster_metrics_scrape_duration_seconds_count'), 1);
  assert.equal(samples.of('cluster_metrics_series'), samples.samples.length);
  const age = samples.of('cluster_metrics_worker_age_seconds{worker="2"}');
  assert.ok(age >= 0 && age <= (performance.now() - startedMs) / 1000, `${age} s`);
  assert.equal(samples.of('cluster_metrics_store_problems_total{kind="torn"}'), 0);
});

test('scrapes that arrive together share one gathering, and later scrapes do not', async (t) => {
  const { workers, registry } = openCluster(t, 1);
  const counter = workers[0]?.counter;
  counter?.inc({ kind: 'a' });
  const together = [registry.clusterMetrics(), registry.clusterMetrics()];
  // This is counted before the gathering begins, so it may be in this page. Later counts must be in the next one.
  counter?.inc({ kind: 'a' });
  const [first, second] = await Promise.all(together);
  assert.equal(first, second);
  counter?.inc({ kind: 'a' });
  const later = parseExposition(await registry.clusterMetrics());
  assert.equal(later.of('acts_total{kind="a"}'), 3);
  assert.equal(later.of('cluster_metrics_scrape_duration_seconds_count'), 1);
});

test('a scrape has every count from before its call without waiting for an answer', async (t) => {
  const { workers, scrape } = openCluster(t, 1);
  for (let acts = 1; acts <= 50; acts++) {
    workers[0]?.counter.inc({ kind: 'a' });
    await null;
    assert.equal((await scrape()).of('acts_total{kind="a"}'), acts);
  }
});

test('a scrape of a missing worker is an error', async (t) => {
  const { registry } = openCluster(t, 1);
  await assert.rejects(registry.clusterMetrics({ worker: 9 }), RangeError);
});

test('a registry without workers is scraped without an error', async (t) => {
  const { scrape } = openCluster(t, 0);
  assert.equal((await scrape()).of('cluster_metrics_store_problems_total{kind="foreign"}'), 0);
});

test('the registry is an AggregatorRegistry whose content type chooses the format', async (t) => {
  const registry: ClusterRegistry<RegistryContentType> = openCluster(t, 1).registry;
  assert.ok(registry instanceof prom.AggregatorRegistry);
  registry.setContentType(prom.Registry.OPENMETRICS_CONTENT_TYPE);
  assert.match(await registry.clusterMetrics(), /# EOF\n$/);
});

test('a metric without labels has its series from the beginning', async (t) => {
  const { workers, scrape } = openCluster(t, 1);
  const registers = [new WorkerRegistry(workers[0]?.store)];
  new Counter({ name: 'a_total', help: 'help', registers });
  new Gauge({ name: 'b', help: 'help', registers });
  new Histogram({ name: 'c', help: 'help', registers });
  new Summary({ name: 'd', help: 'help', registers });
  const samples = await scrape();
  for (const head of ['a_total', 'b', 'c_bucket{le="+Inf"}', 'c_sum', 'd_count']) assert.equal(samples.of(head), 0);
});

test('the number of samples counts the samples of its own scrape', async (t) => {
  const { workers, scrape } = openCluster(t, 2);
  for (let round = 0; round < 3; round++) {
    for (const { counter, summary } of workers) {
      counter.inc({ kind: `kind ${round}` });
      summary.observe(1);
    }
    const samples = await scrape();
    assert.equal(samples.of('cluster_metrics_series'), samples.samples.length);
  }
});
