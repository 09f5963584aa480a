import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as prom from 'prom-client';
import { ClusterRegistry, collectDefaults, Gauge, sampleEverySecond, WorkerRegistry } from '../../src/metrics/index.ts';
import { until } from '../support/wait.ts';
import { openCluster } from './support/stores.ts';

test('default metrics come under their usual names, summed or merged as they say', async (t) => {
  const { workers, scrape } = openCluster(t, 2);
  for (const { store } of workers) t.after(collectDefaults(new WorkerRegistry(store)));
  const samples = await until('the first sample', async () => {
    const samples = await scrape();
    return [...samples.values.keys()].some((head) => head.startsWith('nodejs_version_info')) && samples;
  });
  assert.ok(samples.of('process_resident_memory_bytes') > 2 * 10_000_000, 'of two workers');
  assert.ok(samples.of('process_cpu_seconds_total') > 0);
  const [major, minor, patch] = process.versions.node.split('.');
  const version = `nodejs_version_info{version="v${process.versions.node}",major="${major}",minor="${minor}",patch="${patch}"}`;
  assert.equal(samples.of(version), 1, 'first, not summed');
  assert.ok(samples.of('nodejs_heap_space_size_used_bytes{space="old"}') > 0);
  assert.ok(!samples.values.has('process_start_time_seconds'), 'omitted when there are several');
  assert.ok((await scrape({ worker: '1' })).of('process_start_time_seconds') > 0);
  assert.ok(![...samples.values.keys()].some((head) => head.startsWith('nodejs_active_handles_total')));
});

test('garbage collections, a histogram of prom-client, are merged bucket by bucket', async (t) => {
  const { workers, scrape } = openCluster(t, 2);
  const own: prom.Histogram<'kind'>[] = [];
  for (const { store } of workers) {
    const registry = new WorkerRegistry(store);
    const histogram = new prom.Histogram({
      name: 'gc_seconds',
      help: 'help',
      labelNames: ['kind'],
      buckets: [0.1, 1],
      registers: [registry],
    });
    own.push(histogram);
    t.after(sampleEverySecond(registry));
  }
  own[0]?.observe({ kind: 'minor' }, 0.05);
  own[0]?.observe({ kind: 'minor' }, 0.5);
  own[1]?.observe({ kind: 'minor' }, 5);
  own[1]?.observe({ kind: 'major' }, 0.05);
  const samples = await until('a sample', async () => {
    const samples = await scrape();
    return samples.values.get('gc_seconds_count{kind="minor"}') === 3 && samples;
  });
  assert.equal(samples.of('gc_seconds_bucket{kind="minor",le="0.1"}'), 1);
  assert.equal(samples.of('gc_seconds_bucket{kind="minor",le="1"}'), 2);
  assert.equal(samples.of('gc_seconds_bucket{kind="minor",le="+Inf"}'), 3);
  assert.equal(samples.of('gc_seconds_sum{kind="minor"}'), 5.55);
  assert.equal(samples.of('gc_seconds_count{kind="major"}'), 1);
});

test('gauges that collect are at most a second old, a removed one goes, and a failure is told', async (t) => {
  const { workers, scrape } = openCluster(t, 1);
  const registry = new WorkerRegistry(workers[0]?.store);
  const problems: Error[] = [];
  const gauge = new prom.Gauge({
    name: 'rooms',
    help: 'help',
    labelNames: ['room'],
    registers: [registry],
    collect() {
      this.inc({ room: 'a' });
      if (calls++ === 1) this.remove('b');
      if (calls === 3) throw new Error('a bug');
    },
  });
  let calls = 0;
  gauge.set({ room: 'b' }, 1);
  t.after(sampleEverySecond(registry, { onProblem: (problem) => problems.push(problem) }));
  await until('the first sample', async () => (await scrape()).values.get('rooms{room="b"}') === 1);
  await until('the second', async () => !(await scrape()).values.has('rooms{room="b"}'));
  await until('the failure', () => problems.length === 1);
  await until('sampling goes on', async () => (await scrape()).of('rooms{room="a"}') >= 4);
});

test('a scrape does not sample in between what samples itself', async (t) => {
  const registry = new WorkerRegistry();
  let samples = 0;
  new Gauge({ name: 'rooms', help: 'help', registers: [registry], collect: () => void samples++ });
  const { directory } = openCluster(t, 0);
  const cluster = new ClusterRegistry({ directory, registers: [registry] });
  t.after(() => cluster.close());
  await cluster.clusterMetrics();
  assert.equal(samples, 1, 'nobody else does');
  const stop = sampleEverySecond(registry);
  assert.equal(samples, 2);
  for (let i = 0; i < 5; i++) await cluster.clusterMetrics();
  assert.equal(samples, 2);
  stop();
  await cluster.clusterMetrics();
  assert.equal(samples, 3);
});
