import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as prom from 'prom-client';
import { until } from '../../../test/support/wait.ts';
import { ClusterRegistry, Counter, Gauge, Histogram, Summary, WorkerRegistry } from '../src/index.ts';
import { parseExposition } from '../src/testing/index.ts';
import { openCluster } from './support/stores.ts';

function labelledRegistry(store?: WorkerRegistry['store']): WorkerRegistry {
  const registry = new WorkerRegistry(store);
  registry.setDefaultLabels({ app: 'shop', zone: 7 });
  return registry;
}

test("each series of a process has the registry's default labels, unless its metric has that label itself", async (t) => {
  const { workers, scrape } = openCluster(t, 2);
  for (const { store } of workers) {
    const common = { help: 'help', registers: [labelledRegistry(store)] };
    new Counter({ ...common, name: 'plain_total' }).inc(2);
    const own = new Counter({ ...common, name: 'own_total', labelNames: ['app', 'kind'] });
    own.inc({ app: 'mine', kind: 'a' }, 3);
    own.inc({ kind: 'a' }, 4);
    new Gauge({ ...common, name: 'rooms' }).set(5);
    new Histogram({ ...common, name: 'size', buckets: [1] }).observe(1);
    new Summary({ ...common, name: 'wait', percentiles: [0.5] }).observe(1);
  }
  const samples = await scrape();
  for (const [head, value] of Object.entries({
    'plain_total{app="shop",zone="7"}': 4,
    'own_total{app="mine",kind="a",zone="7"}': 6,
    'own_total{app="shop",kind="a",zone="7"}': 8,
    'rooms{app="shop",zone="7"}': 10,
    'size_bucket{app="shop",zone="7",le="1"}': 2,
    'size_sum{app="shop",zone="7"}': 2,
    'wait_count{app="shop",zone="7"}': 2,
  })) {
    assert.equal(samples.of(head), value, head);
  }
});

test("default labels are on prom-client's own metrics, and in the registry's own text, too", async (t) => {
  const registry = labelledRegistry();
  const { directory } = openCluster(t, 0);
  const cluster = new ClusterRegistry({ directory, registers: [registry] });
  t.after(() => cluster.close());
  new prom.Counter({ name: 'stock_total', help: 'help', registers: [registry] }).inc(2);
  new Counter({ name: 'ours_total', help: 'help', registers: [registry] }).inc(3);
  const page = await until('both', async () => parseExposition(await cluster.clusterMetrics()));
  for (const text of [page, parseExposition(await registry.metrics())]) {
    assert.equal(text.of('stock_total{app="shop",zone="7"}'), 2);
    assert.equal(text.of('ours_total{app="shop",zone="7"}'), 3);
  }
});

test("a series with a default label and one with that label of its own are one on the cluster's page", async (t) => {
  const { directory } = openCluster(t, 0);
  const registry = labelledRegistry();
  const cluster = new ClusterRegistry({ directory, registers: [registry] });
  t.after(() => cluster.close());
  const acts = new Counter({ name: 'acts_total', help: 'help', labelNames: ['app'], registers: [registry] });
  acts.inc(10);
  acts.inc({ app: 'shop' }, 5);
  const lines = (page: string) => page.split('\n').filter((line) => line.startsWith('acts_total'));
  assert.deepEqual(lines(await cluster.clusterMetrics()), ['acts_total{app="shop",zone="7"} 15']);
  assert.equal(lines(await registry.metrics()).length, 2, 'the page of the process itself, as in prom-client');
});

test('default labels that are no object are refused with what to write', () => {
  const registry = new WorkerRegistry();
  for (const labels of [undefined, null, 'app', 7] as unknown as object[]) {
    assert.throws(() => registry.setDefaultLabels(labels), {
      message: "setDefaultLabels takes an object: write setDefaultLabels({ app: 'shop' })",
    });
  }
});

test('default labels are refused after the first metric, and where Prometheus would reject them', () => {
  const registry = new WorkerRegistry();
  assert.throws(() => registry.setDefaultLabels({ 'a-b': 1 }), /Invalid label name/);
  assert.throws(() => registry.setDefaultLabels({ __name__: 'a' }), /__name__ is a reserved label/);
  for (const name of ['le', 'quantile']) {
    assert.throws(() => registry.setDefaultLabels({ [name]: 'a' }), /is a reserved label keyword/);
  }
  new Gauge({ name: 'rooms', help: 'help', registers: [registry] });
  assert.throws(() => registry.setDefaultLabels({ app: 'shop' }), /before the first metric is registered/);
});
