import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import * as prom from 'prom-client';
import { until } from '../../../test/support/wait.ts';
import * as ours from '../src/index.ts';
import { openCluster } from './support/stores.ts';

test("every name that prom-client's types have is there", () => {
  // In the types alone, of the successor's own cluster registries, or added by Node.js to a CommonJS module.
  const others = ['aggregators', 'ClusterRegistry', 'WorkerRegistry', 'module.exports'];
  const names = Object.keys(prom).filter((name) => !others.includes(name));
  assert.deepEqual(
    names.filter((name) => !(name in ours)),
    [],
  );
});

test('the default export has every name', () => {
  assert.deepEqual(Object.entries(ours.default), Object.entries(ours));
  assert.equal(ours.default.Counter, ours.Counter);
});

test("prom-client's helpers are prom-client's", () => {
  assert.deepEqual(ours.linearBuckets(0, 5, 3), [0, 5, 10]);
  assert.deepEqual(ours.exponentialBuckets(1, 2, 3), [1, 2, 4]);
  assert.equal(ours.validateMetricName('a-b'), false);
  assert.equal(ours.contentType, prom.Registry.PROMETHEUS_CONTENT_TYPE);
  assert.equal(ours.openMetricsContentType, prom.Registry.OPENMETRICS_CONTENT_TYPE);
  assert.ok(new ours.Registry() instanceof prom.Registry);
  assert.equal(ours.AggregatorRegistry, ours.ClusterRegistry);
  assert.ok(ours.collectDefaultMetrics.metricsList.includes('gc'));
});

test('what the default registry of prom-client would do is refused with what to write', () => {
  assert.throws(
    () => ours.register.metrics(),
    /no default registry: in the place of register.metrics write registry.m/,
  );
  assert.throws(() => ours.register.contentType, /write registry.contentType, with registry = new WorkerRegistry\(/);
  assert.throws(() => ours.register.clear(), /clear\(\) would take totals back: in a test, make a new WorkerRegistry/);
  assert.throws(() => ours.register.resetMetrics(), /Totals never go back: in a test, make a new WorkerRegistry/);
  assert.throws(() => ours.register.removeSingleMetric('jobs_total'), /to hide its series, call remove\(labels\)/);
  const common = { name: 'a', help: 'help' };
  for (const options of [common, { ...common, registers: [ours.register] }]) {
    assert.throws(() => new ours.Counter(options), /must name a WorkerRegistry/);
  }
  for (const options of [undefined, {}, { register: prom.register as unknown as ours.WorkerRegistry }]) {
    assert.throws(() => ours.collectDefaultMetrics(options), /write collectDefaultMetrics\(\{ register: registry \}\)/);
  }
  assert.throws(() => ours.AggregatorRegistry.setRegistries(), /new ClusterRegistry\(\{ directory, registers \}\)/);
});

test('a push gateway without a registry is refused, and one with a registry pushes its page', async (t) => {
  const bodies: string[] = [];
  const server = createServer(async (request, response) => {
    bodies.push(await text(request));
    response.end();
  }).listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  for (const registry of [undefined, null] as (undefined | never)[]) {
    assert.throws(() => new ours.Pushgateway(url, {}, registry), {
      message: 'Pushgateway needs a registry: write new Pushgateway(url, options, registry)',
    });
  }
  const registry = new ours.WorkerRegistry();
  new ours.Counter({ name: 'jobs_total', help: 'help', registers: [registry] }).inc(3);
  const gateway = new ours.Pushgateway(url, {}, registry);
  assert.ok(gateway instanceof prom.Pushgateway);
  await gateway.push({ jobName: 'nightly' });
  assert.match(bodies.join(), /^jobs_total 3$/m);
});

test('an aggregator is refused where the type of the metric has one way to merge', () => {
  const common = { name: 'a', help: 'help', registers: [new ours.WorkerRegistry()] };
  for (const Metric of [ours.Counter, ours.Histogram, ours.Summary]) {
    assert.throws(
      () => new Metric({ ...common, aggregator: 'max' }),
      /is summed over all workers: leave out aggregator/,
    );
  }
  new ours.Counter({ ...common, aggregator: 'sum' });
});

test("metrics are listed by their aggregator, as by the successor's registries", () => {
  const registry = new ours.WorkerRegistry();
  const registers = [registry];
  new ours.Gauge({ name: 'peak', help: 'help', aggregator: 'max', registers });
  new ours.Counter({ name: 'acts_total', help: 'help', registers });
  new prom.Gauge({ name: 'rooms', help: 'help', registers });
  const names = (aggregator?: string) => registry.getMetricsAsArray(aggregator).map(({ name }) => name);
  assert.deepEqual(names(), ['peak', 'acts_total', 'rooms']);
  assert.deepEqual(names('sum'), ['acts_total', 'rooms']);
  assert.deepEqual(names('max'), ['peak']);
  assert.deepEqual(names('min'), []);
});

test('default metrics have the prefix and the labels that are asked for', async (t) => {
  const { workers, scrape } = openCluster(t, 1);
  const register = new ours.WorkerRegistry(workers[0]?.store);
  t.after(ours.collectDefaultMetrics({ register, prefix: 'my_', labels: { app: 'a' }, gcDurationBuckets: [0.1] }));
  const samples = await until('a sample', async () => {
    const samples = await scrape();
    return samples.get('my_process_resident_memory_bytes{app="a"}') !== undefined && samples;
  });
  assert.ok(samples.has('my_nodejs_eventloop_lag_p99_seconds{app="a"}'));
  assert.equal(samples.of('my_nodejs_gc_duration_seconds_bucket{app="a",kind="weakcb",le="0.1"}'), 0);
  assert.ok(!samples.has('my_nodejs_active_handles_total'));
  assert.ok(!samples.samples.some(({ name }) => name.startsWith('nodejs_')));
});
