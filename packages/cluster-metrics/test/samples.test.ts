import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as prom from 'prom-client';
import { parseExposition } from '../src/testing/index.ts';
import { openCluster, openWorker } from './support/stores.ts';

/** Those that a gathering itself changes. */
const isSteady = ({ name }: { name: string }) => !/^cluster_metrics_(scrape_duration|worker_age)/.test(name);

test('the samples are those of the page, in its order', async (t) => {
  const { workers, registry } = openCluster(t, 2);
  for (const [i, { counter, gauge, histogram, summary }] of workers.entries()) {
    counter.inc({ kind: 'quote " backslash \\ newline \n' }, 2);
    gauge.set(i + 1);
    for (const size of [0.5, 1, 5, 500]) histogram.observe({ route: '/' }, size);
    summary.observe(3 * i + 1);
  }
  const own = new prom.Gauge({ name: 'own', help: 'help', labelNames: ['__proto__'], registers: [] });
  own.set(Number.NaN);
  registry.registerMetric(own);
  const [samples, text] = await Promise.all([registry.samples(), registry.clusterMetrics()]);
  const page = parseExposition(text).samples.map(({ name, labels, value }) => ({ name, labels, value }));
  assert.deepEqual(
    samples.filter(isSteady).map(({ name, labels, value }) => ({ name, labels: { ...labels }, value })),
    page.filter(isSteady).map(({ name, labels, value }) => ({ name, labels: { ...labels }, value })),
  );
  assert.ok(samples.length > 15);
});

test('only the metrics that are asked for are read, and nothing for a name that is not there', async (t) => {
  const { workers, registry } = openCluster(t, 1);
  workers[0]?.counter.inc({ kind: 'a' });
  workers[0]?.histogram.observe({ route: '/' }, 5);
  const samples = await registry.samples({ names: ['size_bytes', 'acts_total', 'no_such'] });
  assert.deepEqual(
    samples.map(({ name, labels: { le, kind }, value }) => [name, le ?? kind, value]),
    [
      ['acts_total', 'a', 1],
      ['size_bytes_bucket', '1', 0],
      ['size_bytes_bucket', '10', 1],
      ['size_bytes_bucket', '100', 1],
      ['size_bytes_bucket', '+Inf', 1],
      ['size_bytes_sum', undefined, 5],
      ['size_bytes_count', undefined, 1],
    ],
  );
  assert.deepEqual(await registry.samples({ names: [] }), []);
});

test('a sample has the same frozen labels at each reading, also when another worker joins', async (t) => {
  const { directory, workers, registry } = openCluster(t, 1);
  workers[0]?.histogram.observe({ route: '/' }, 5);
  const before = await registry.samples({ names: ['size_bytes', 'took_seconds'] });
  const second = openWorker(directory, 2);
  t.after(() => second.store.close());
  second.histogram.observe({ route: '/' }, 5);
  const after = await registry.samples({ names: ['size_bytes', 'took_seconds'] });
  assert.equal(after.length, before.length);
  for (const [i, { name, labels }] of after.entries()) {
    assert.equal(name, before[i]?.name);
    assert.equal(labels, before[i]?.labels);
    assert.ok(Object.isFrozen(labels));
  }
});

test('a worker alone has its own samples, and none is an error', async (t) => {
  const { workers, registry } = openCluster(t, 2);
  for (const [i, { counter }] of workers.entries()) counter.inc({ kind: 'a' }, i + 1);
  const names = ['acts_total'];
  const valueAt = async (worker: number) => (await registry.samples({ names, worker })).map(({ value }) => value);
  assert.deepEqual(await Promise.all([valueAt(1), valueAt(2)]), [[1], [2]]);
  await assert.rejects(registry.samples({ worker: 3 }), RangeError);
});

test('the samples show all that was counted before the call', async (t) => {
  const { workers, registry } = openCluster(t, 1);
  const [worker] = workers;
  for (let count = 1; count <= 20; count++) {
    worker?.counter.inc({ kind: 'a' });
    worker?.store.flush();
    const [sample] = await registry.samples({ names: ['acts_total'] });
    assert.equal(sample?.value, count);
  }
});
