import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import * as prom from 'prom-client';
import {
  ClusterRegistry,
  Counter,
  createStoreDirectory,
  Gauge,
  openStore,
  Summary,
  WorkerRegistry,
} from '../src/index.ts';
import { parseExposition } from '../src/testing/index.ts';

function openFolder(t: Pick<TestContext, 'after'>): string {
  const directory = createStoreDirectory({ name: 'plain' });
  t.after(() => directory.remove());
  return directory.path;
}

function clusterOf(t: Pick<TestContext, 'after'>, registers: prom.Registry[], directory = openFolder(t)) {
  const registry = new ClusterRegistry({ directory, registers });
  t.after(() => registry.close());
  return async () => parseExposition(await registry.clusterMetrics());
}

/** prom-client has a registry type for each content type, without a conversion between them. */
function printAsOpenMetrics(registry: prom.Registry): void {
  (registry as prom.Registry<prom.RegistryContentType>).setContentType(prom.Registry.OPENMETRICS_CONTENT_TYPE);
}

function openMetricsRegistry(): prom.Registry {
  const registry = new prom.Registry();
  printAsOpenMetrics(registry);
  return registry;
}

test('a registry that is given twice is counted once', async (t) => {
  const plain = new prom.Registry();
  const ours = new WorkerRegistry();
  new prom.Counter({ name: 'plain_total', help: 'help', registers: [plain] }).inc(3);
  new Counter({ name: 'ours_total', help: 'help', registers: [ours] }).inc(3);
  const scrape = await clusterOf(t, [plain, ours, plain, ours])();
  assert.equal(scrape.of('plain_total'), 3);
  assert.equal(scrape.of('ours_total'), 3);
});

test('a metric that is created again with another shape keeps its last values, with a warning', async (t) => {
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

test('a collect that throws affects no other metric', async (t) => {
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

test('a counter that is created again with other label names keeps its total, with a warning', async (t) => {
  for (const forget of [
    (registry: prom.Registry) => registry.removeSingleMetric('jobs_total'),
    (registry: prom.Registry) => registry.clear(),
  ]) {
    const plain = new prom.Registry();
    const common = { name: 'jobs_total', help: 'help', registers: [plain] };
    new prom.Counter(common).inc(8);
    const scrape = clusterOf(t, [plain]);
    assert.equal((await scrape()).of('jobs_total'), 8);
    forget(plain);
    const jobs = new prom.Counter({ ...common, labelNames: ['queue'] });
    jobs.inc({ queue: 'a' }, 3);
    jobs.inc({ queue: 'b' }, 2);
    const warned = once(process, 'warning');
    for (let i = 0; i < 3; i++) assert.equal((await scrape()).of('jobs_total'), 8);
    assert.match(String((await warned)[0]), /jobs_total was removed and made again with another shape \(label names\)/);
  }
});

test('a counter that is created again unchanged goes on from its total', async (t) => {
  const plain = new prom.Registry();
  const common = { name: 'jobs_total', help: 'help', registers: [plain] };
  new prom.Counter(common).inc(5);
  const scrape = clusterOf(t, [plain]);
  await scrape();
  plain.clear();
  new prom.Counter(common).inc(7);
  for (let i = 0; i < 2; i++) assert.equal((await scrape()).of('jobs_total'), 12);
});

test('a gauge that is no longer registered disappears', async (t) => {
  const plain = new prom.Registry();
  new prom.Gauge({ name: 'depth', help: 'help', registers: [plain] }).set(3);
  const scrape = clusterOf(t, [plain]);
  assert.equal((await scrape()).of('depth'), 3);
  plain.removeSingleMetric('depth');
  assert.ok(!(await scrape()).has('depth'));
});

test('default labels with a new value receive the further growth alone', async (t) => {
  const plain = new prom.Registry();
  plain.setDefaultLabels({ zone: 'a' });
  const jobs = new prom.Counter({ name: 'jobs_total', help: 'help', registers: [plain] });
  jobs.inc(5);
  const scrape = clusterOf(t, [plain]);
  await scrape();
  plain.setDefaultLabels({ zone: 'b' });
  jobs.inc(2);
  for (let i = 0; i < 2; i++) {
    const samples = await scrape();
    assert.equal(samples.of('jobs_total{zone="a"}'), 5);
    assert.equal(samples.of('jobs_total{zone="b"}'), 2);
  }
});

/** Events of a metric of prom-client between two scrapes. */
const event = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ amount: fc.integer({ min: 0, max: 9 }), kind: fc.constantFrom(undefined, 'x', 'y') }),
  },
  { weight: 1, arbitrary: fc.constantFrom('reset' as const, 'remake' as const, 'print' as const, 'nothing' as const) },
  { weight: 1, arbitrary: fc.record({ remove: fc.constantFrom(undefined, 'x', 'y') }) },
);

test('each count of a counter and a histogram is shown once after any events', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(event, { maxLength: 25 }), async (events) => {
      const plain = openMetricsRegistry();
      // The series without a label and the series of `x` are the same.
      plain.setDefaultLabels({ kind: 'x' });
      const make = () => {
        const common = { help: 'help', labelNames: ['kind'], registers: [plain] };
        return {
          acts: new prom.Counter({ ...common, name: 'acts_total' }),
          size: new prom.Histogram({ ...common, name: 'size', buckets: [3, 6] }),
        };
      };
      let { acts, size } = make();
      const scrape = clusterOf(t, [plain]);
      const expected = new Map<string, number>();
      const add = (head: string, amount: number) => expected.set(head, (expected.get(head) ?? 0) + amount);
      for (const happens of events) {
        if (happens === 'reset') plain.resetMetrics();
        else if (happens === 'print') await plain.metrics();
        else if (happens === 'remake') {
          plain.removeSingleMetric('acts_total');
          plain.removeSingleMetric('size');
          ({ acts, size } = make());
        } else if (typeof happens === 'object' && 'remove' in happens) {
          const labels = happens.remove === undefined ? {} : { kind: happens.remove };
          acts.remove(labels);
          size.remove(labels);
        } else if (typeof happens === 'object') {
          const { amount, kind } = happens;
          const labels = kind === undefined ? {} : { kind };
          acts.inc(labels, amount);
          size.observe(labels, amount);
          const shown = kind ?? 'x';
          add(`acts_total{kind="${shown}"}`, amount);
          add(`size_sum{kind="${shown}"}`, amount);
          add(`size_count{kind="${shown}"}`, 1);
          for (const le of [3, 6]) add(`size_bucket{kind="${shown}",le="${le}"}`, amount <= le ? 1 : 0);
        }
        const samples = await scrape();
        for (const [head, value] of expected) assert.equal(samples.of(head), value, head);
        assert.ok(!samples.has('acts'), 'no second family');
      }
    }),
    { numRuns: 60 },
  );
});

test('a counter that was printed as OpenMetrics before the first scrape keeps its name', async (t) => {
  const plain = openMetricsRegistry();
  new prom.Counter({ name: 'jobs_total', help: 'help', registers: [plain] }).inc();
  await plain.metrics();
  const samples = await clusterOf(t, [plain])();
  assert.equal(samples.of('jobs_total'), 1);
  assert.ok(!samples.has('jobs'));
});

test('a counter in a store that is printed as OpenMetrics keeps its name', async (t) => {
  const registry = new WorkerRegistry();
  const jobs = new prom.Counter({ name: 'jobs_total', help: 'help', registers: [registry] });
  jobs.inc();
  const scrape = clusterOf(t, [registry]);
  await scrape();
  printAsOpenMetrics(registry);
  await registry.metrics();
  jobs.inc();
  const samples = await scrape();
  assert.equal(samples.of('jobs_total'), 2);
  assert.ok(!samples.has('jobs'));
});

test('a registry whose store is a file of the folder is refused', (t) => {
  const directory = openFolder(t);
  const store = openStore({ directory, worker: 'primary' });
  t.after(() => store.close());
  for (const path of [directory, `${directory}/`]) {
    assert.throws(
      () => new ClusterRegistry({ directory: path, registers: [new WorkerRegistry(store)] }),
      /a file of this directory.*counted twice.*new WorkerRegistry\(\)/,
    );
  }
});

test("a metric of prom-client's in several registries is counted once", async (t) => {
  const [one, other] = [new prom.Registry(), new prom.Registry()];
  const worker = new WorkerRegistry();
  const registers = [one, other, worker];
  for (const given of [
    [one, other],
    [other, worker],
    [worker, one],
    [one, worker, other],
  ]) {
    const common = { help: 'help', registers: given };
    const name = `n${given.map((each) => registers.indexOf(each)).join('')}`;
    new prom.Counter({ ...common, name: `${name}_total` }).inc(7);
    new prom.Gauge({ ...common, name: `${name}_depth` }).set(7);
    new prom.Histogram({ ...common, name: `${name}_size`, buckets: [1] }).observe(7);
  }
  const scrape = clusterOf(t, [one, worker, other]);
  for (let i = 0; i < 2; i++) {
    const samples = await scrape();
    for (const name of ['n01', 'n12', 'n20', 'n021']) {
      assert.equal(samples.of(`${name}_total`), 7, name);
      assert.equal(samples.of(`${name}_depth`), 7, name);
      assert.equal(samples.of(`${name}_size_sum`), 7, name);
      assert.equal(samples.of(`${name}_size_count`), 1, name);
    }
  }
});

test('a metric that is removed from one registry goes on in the other', async (t) => {
  const [one, other] = [new prom.Registry(), new prom.Registry()];
  const common = { help: 'help', registers: [one, other] };
  const jobs = new prom.Counter({ ...common, name: 'jobs_total' });
  const depth = new prom.Gauge({ ...common, name: 'depth' });
  const scrape = clusterOf(t, [one, other]);
  jobs.inc(5);
  depth.set(5);
  assert.equal((await scrape()).of('jobs_total'), 5);
  one.clear();
  jobs.inc(2);
  depth.set(7);
  for (let i = 0; i < 2; i++) {
    const samples = await scrape();
    assert.equal(samples.of('jobs_total'), 7);
    assert.equal(samples.of('depth'), 7);
  }
});

test("a metric of prom-client's on the registry of the page and on another is counted once", async (t) => {
  const plain = new prom.Registry();
  const registry = new ClusterRegistry({ directory: openFolder(t), registers: [plain] });
  t.after(() => registry.close());
  new prom.Counter({ name: 'jobs_total', help: 'help', registers: [plain, registry] }).inc(7);
  for (let i = 0; i < 2; i++) assert.equal(parseExposition(await registry.clusterMetrics()).of('jobs_total'), 7);
});

test('one of our metrics in a plain registry too is counted once, in its store', async (t) => {
  const directory = openFolder(t);
  const file = openStore({ directory, worker: 1 });
  t.after(() => file.close());
  for (const [where, worker, isNamed] of [
    ['memory', new WorkerRegistry(), true],
    ['file', new WorkerRegistry(file), false],
  ] as const) {
    const plain = new prom.Registry();
    const common = { help: 'help', registers: [worker, plain as unknown as WorkerRegistry] };
    new Counter({ ...common, name: `${where}_total` }).inc(7);
    new Gauge({ ...common, name: `${where}_depth` }).set(7);
    new Summary({ ...common, name: `${where}_seconds` }).observe(7);
    file.flush();
    const scrape = clusterOf(t, isNamed ? [plain, worker] : [plain], directory);
    for (let i = 0; i < 2; i++) {
      const samples = await scrape();
      assert.equal(samples.of(`${where}_total`), 7);
      assert.equal(samples.of(`${where}_depth`), 7);
      assert.equal(samples.of(`${where}_seconds_count`), 1);
    }
  }
});

test('one of our metrics is shown by a plain registry when its store is not shown', async (t) => {
  const plain = new prom.Registry();
  const registers = [new WorkerRegistry(), plain as unknown as WorkerRegistry];
  new Counter({ name: 'jobs_total', help: 'help', registers }).inc(7);
  assert.equal((await clusterOf(t, [plain])()).of('jobs_total'), 7);
});

test('two registries over one store are counted once', async (t) => {
  const first = new WorkerRegistry();
  const second = new WorkerRegistry(first.store);
  new Gauge({ name: 'depth', help: 'help', registers: [first] }).set(7);
  new prom.Gauge({ name: 'width', help: 'help', registers: [second] }).set(3);
  const scrape = clusterOf(t, [first, second]);
  for (let i = 0; i < 2; i++) {
    const samples = await scrape();
    assert.equal(samples.of('depth'), 7);
    assert.equal(samples.of('width'), 3);
  }
});

test("a metric of prom-client's in two stores is refused", () => {
  const registers = [new WorkerRegistry(), new WorkerRegistry()];
  assert.throws(
    () => new prom.Counter({ name: 'jobs_total', help: 'help', registers }),
    /Each WorkerRegistry would count jobs_total: name one of them/,
  );
  assert.equal(registers[0]?.getMetricsAsArray().length, 0);
});
