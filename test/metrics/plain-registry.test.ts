import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import * as prom from 'prom-client';
import { ClusterRegistry, Counter, createStoreDirectory, Gauge, WorkerRegistry } from '../../src/metrics/index.ts';
import { parse } from './support/samples.ts';

function clusterOf(t: TestContext, registers: prom.Registry[]) {
  const directory = createStoreDirectory({ name: 'plain' });
  const registry = new ClusterRegistry({ directory: directory.path, registers });
  t.after(() => {
    registry.close();
    directory.remove();
  });
  return async () => parse(await registry.clusterMetrics());
}

test('a registry that is named twice is counted once', async (t) => {
  const plain = new prom.Registry();
  const ours = new WorkerRegistry();
  new prom.Counter({ name: 'plain_total', help: 'help', registers: [plain] }).inc(3);
  new Counter({ name: 'ours_total', help: 'help', registers: [ours] }).inc(3);
  const scrape = await clusterOf(t, [plain, ours, plain, ours])();
  assert.equal(scrape.of('plain_total'), 3);
  assert.equal(scrape.of('ours_total'), 3);
});

test('a metric that was made again with another shape keeps its last values, and a warning tells of it', async (t) => {
  const plain = new prom.Registry();
  const common = { name: 'size', help: 'help', registers: [plain] };
  new prom.Histogram({ ...common, buckets: [1, 2] }).observe(1.5);
  const scrape = clusterOf(t, [plain]);
  assert.equal((await scrape()).of('size_count'), 1);
  plain.removeSingleMetric('size');
  new prom.Histogram({ ...common, buckets: [0.5, 1.5, 3] }).observe(1);
  const warned = once(process, 'warning');
  assert.equal((await scrape()).of('size_count'), 1);
  assert.match(String((await warned)[0]), /size was removed and made again with another shape \(buckets\)/);
});

test('a collect that throws costs no other metric', async (t) => {
  const ours = new WorkerRegistry();
  new Gauge({
    name: 'broken',
    help: 'help',
    registers: [ours],
    collect() {
      throw new Error('boom');
    },
  });
  const sound: Gauge = new Gauge({
    name: 'sound',
    help: 'help',
    registers: [ours],
    collect() {
      sound.set(7);
    },
  });
  const scrape = clusterOf(t, [ours]);
  const warned = once(process, 'warning');
  assert.equal((await scrape()).of('sound'), 7);
  assert.match(String((await warned)[0]), /could not be sampled: boom/);
});
