import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import * as prom from 'prom-client';
import {
  ClusterRegistry,
  Counter,
  createStoreDirectory,
  Gauge,
  Histogram,
  type LabelValues,
  Summary,
  WorkerRegistry,
} from '../src/index.ts';
import { parseExposition } from '../src/testing/index.ts';
import { openCluster } from './support/stores.ts';

/** Names that every object has, `__proto__` included. */
const INHERITED = Object.getOwnPropertyNames(Object.prototype);

test('a label with a name that every object has is absent when not given, and right when given', async (t) => {
  const { workers, scrape } = openCluster(t, 1);
  const registers = workers.map(({ store }) => new WorkerRegistry(store));
  for (const [i, label] of INHERITED.entries()) {
    const common = { help: 'help', labelNames: ['x', label], registers };
    const counter = new Counter({ ...common, name: `a${i}_total` });
    counter.inc();
    counter.inc({ x: 'y' }, 2);
    counter.inc({ x: 'y', [label]: 'z' }, 3);
    counter.labels('y', 'z').inc(4);
    const gauge = new Gauge({ ...common, name: `b${i}` });
    gauge.set({ [label]: 1 }, 5);
    gauge.labels({ x: 'gone' }).set(1);
    gauge.remove({ x: 'gone' });
    const histogram = new Histogram({ ...common, name: `c${i}`, buckets: [1] });
    histogram.startTimer({ [label]: 'a' })({ x: 'b' });
    histogram.observe(0.5);
    new Summary({ ...common, name: `d${i}` }).observe({ [label]: 'a' }, 1);
  }
  const samples = await scrape();
  for (const [i, label] of INHERITED.entries()) {
    assert.equal(samples.of(`a${i}_total{x="",${label}=""}`), 1, label);
    assert.equal(samples.of(`a${i}_total{x="y",${label}=""}`), 2, label);
    assert.equal(samples.of(`a${i}_total{x="y",${label}="z"}`), 7, label);
    assert.equal(samples.of(`b${i}{${label}="1"}`), 5, label);
    assert.equal(samples.has(`b${i}{x="gone"}`), false, label);
    assert.equal(samples.of(`c${i}_count{x="b",${label}="a"}`), 1, label);
    assert.equal(samples.of(`c${i}_count{x="",${label}=""}`), 1, label);
    assert.equal(samples.of(`d${i}_count{${label}="a"}`), 1, label);
  }
  assert.ok(!/function|native/.test(samples.text.replaceAll(/^#.*$/gm, '')));

  const text = await registers[0]?.metrics();
  for (const [i, label] of INHERITED.entries())
    assert.match(String(text), new RegExp(`a${i}_total{x="y",${label}="z"} 7`));
});

test("prom-client's own metrics with such labels are right too", async () => {
  const registry = new WorkerRegistry();
  const cluster = new ClusterRegistry({ directory: '/nowhere', registers: [registry] });
  for (const [i, label] of INHERITED.entries()) {
    const common = { help: 'help', labelNames: [label], registers: [registry] };
    const gauge = new prom.Gauge({ ...common, name: `a${i}` });
    gauge.set({}, 1);
    gauge.set({ [label]: 'z' }, 2);
  }
  const samples = parseExposition(await cluster.clusterMetrics());
  cluster.close();
  for (const [i, label] of INHERITED.entries()) {
    assert.equal(samples.of(`a${i}{${label}=""}`), 1, label);
    assert.equal(samples.of(`a${i}{${label}="z"}`), 2, label);
  }
});

test('a metric may have a name that every object has', async (t) => {
  const { workers, scrape } = openCluster(t, 1);
  const registers = workers.map(({ store }) => new WorkerRegistry(store));
  const [registry] = registers;
  for (const name of INHERITED) {
    assert.equal(registry?.getSingleMetric(name), undefined);
    new Counter({ name, help: 'help', registers }).inc(2);
    assert.throws(() => new Gauge({ name, help: 'help', registers }), /has already been registered/);
    assert.match(String(await registry?.getSingleMetricAsString(name)), new RegExp(`^${name} 2$`, 'm'));
  }
  const samples = await scrape();
  for (const name of INHERITED) assert.equal(samples.of(name), 2);
  await assert.rejects(async () => registry?.getSingleMetricAsString('none'), /no metric none/);
});

test('any labels, given or not, are shown as by prom-client', async () => {
  const name = fc.constantFrom('a', 'b', 'constructor', 'toString', '__proto__', 'hasOwnProperty', '__defineGetter__');
  const value = fc.oneof(fc.string(), fc.integer(), fc.constantFrom('constructor', '__proto__', 'undefined', ''));
  const pairs = fc.uniqueArray(fc.tuple(name, value), { selector: ([label]) => label });
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(name, { minLength: 1 }), fc.array(pairs), async (labelNames, all) => {
      const registry = new WorkerRegistry();
      const counter = new Counter({ name: 'acts_total', help: 'help', labelNames, registers: [registry] });
      const expected = new Map<string, number>();
      for (const given of all) {
        const own = given.filter(([label]) => labelNames.includes(label));
        counter.inc(Object.fromEntries(own) as LabelValues<string>);
        const key = JSON.stringify(own.map(([label, each]) => [label, String(each)]).sort());
        expected.set(key, (expected.get(key) ?? 0) + 1);
      }
      const actual = (await counter.get()).values.map(
        ({ labels, value }) => [JSON.stringify(Object.entries(labels).sort()), value] as const,
      );
      assert.deepEqual(new Map(actual), expected);
    }),
  );
});

test("a plain registry's default labels are kept", async (t) => {
  const plain = new prom.Registry();
  plain.setDefaultLabels({ app: 'x', kind: 'default' });
  const directory = createStoreDirectory({ name: 'labels' });
  const cluster = new ClusterRegistry({ directory: directory.path, registers: [plain] });
  t.after(() => {
    cluster.close();
    directory.remove();
  });
  const common = { help: 'help', registers: [plain] };
  new prom.Counter({ ...common, name: 'a_total' }).inc(2);
  const labelled = new prom.Counter({ ...common, name: 'b_total', labelNames: ['kind', 'y'] });
  labelled.inc({ kind: 'own', y: 1 }, 3);
  labelled.inc(4);
  const gauge = new prom.Gauge({ ...common, name: 'c', labelNames: ['y'] });
  gauge.set({ y: 1 }, 5);
  new prom.Histogram({ ...common, name: 'd', buckets: [1] }).observe(1);
  const samples = parseExposition(await cluster.clusterMetrics());
  assert.equal(samples.of('a_total{app="x",kind="default"}'), 2);
  assert.equal(samples.of('b_total{kind="own",y="1",app="x"}'), 3);
  assert.equal(samples.of('b_total{kind="default",app="x"}'), 4);
  assert.equal(samples.of('c{y="1",app="x",kind="default"}'), 5);
  assert.equal(samples.of('d_bucket{app="x",kind="default",le="1"}'), 1);
  assert.equal(samples.of('d_count{app="x",kind="default"}'), 1);

  gauge.remove({ y: 1 });
  assert.ok(!parseExposition(await cluster.clusterMetrics()).has('c'));
});

/** The wrong types are intended: JavaScript users have no compiler. */
type Loose = Record<string, (...args: unknown[]) => unknown> & { get(): Promise<{ values: { value: unknown }[] }> };
type Library = Record<'Counter' | 'Gauge' | 'Histogram' | 'Summary', new (options: object) => Loose>;
const ours = { Counter, Gauge, Histogram, Summary } as unknown as Library;
const theirs = prom as unknown as Library;

/** The values of a metric after a call, or the call's error. */
async function outcome(library: Library, kind: keyof Library, labelNames: string[], method: string, args: unknown[]) {
  const registers = [library === ours ? new WorkerRegistry() : new prom.Registry()];
  const options = { name: 'a', help: 'help', labelNames, buckets: [2], percentiles: [], registers };
  if (kind === 'Summary') delete (options as { buckets?: unknown }).buckets;
  const metric = new library[kind](options);
  try {
    metric[method]?.(...args);
  } catch (error) {
    return String(error).replace(/: .*/, '');
  }
  return JSON.stringify((await metric.get()).values.map(({ value }) => value));
}

const absent = [undefined, null];

for (const [kind, method, missing] of [
  ['Counter', 'inc', absent],
  ['Gauge', 'inc', absent],
  ['Gauge', 'dec', [undefined]],
  ['Histogram', 'observe', [...absent, false, '', Number.NaN]],
  ['Summary', 'observe', [...absent, false, '', Number.NaN]],
] as const) {
  test(`${kind}.${method} takes missing labels as prom-client does`, async () => {
    for (const labelNames of [[], ['x']]) {
      for (const labels of missing) {
        for (const args of [[labels], [labels, 1], [labels, 3], [labels, undefined]]) {
          const expected = await outcome(theirs, kind, labelNames, method, args);
          if (expected.startsWith('TypeError')) continue;
          const actual = await outcome(ours, kind, labelNames, method, args);
          assert.equal(actual, expected, `${kind}(${labelNames}).${method}(${args.map(String)})`);
        }
      }
    }
  });
}

test('missing labels mean no labels in every method', async () => {
  for (const labelNames of [[], ['x']]) {
    for (const labels of [null, undefined] as never[]) {
      const common = { help: 'help', labelNames, registers: [new WorkerRegistry()] };
      const counter = new Counter({ ...common, name: 'a_total' });
      const gauge = new Gauge({ ...common, name: 'b' });
      const histogram = new Histogram({ ...common, name: 'c', buckets: [] });
      const summary = new Summary({ ...common, name: 'd', percentiles: [] });
      counter.labels(null as never).inc(2);
      counter.zero(labels);
      gauge.labels(null as never).set(4);
      gauge.setToCurrentTime(labels);
      gauge.set(labels, 5);
      gauge.labels(null as never).dec();
      histogram.zero(labels);
      histogram.observe(labels, 6);
      histogram.labels(null as never).observe(1);
      histogram.startTimer(labels)(labels);
      summary.observe(labels, 7);
      summary.labels(null as never).observe(1);
      summary.startTimer(labels)(labels);
      for (const [metric, index, expected] of [
        [counter, 0, 2],
        [gauge, 0, 4],
        [histogram, 2, 3],
        [summary, 1, 3],
      ] as const) {
        const { values } = await metric.get();
        assert.equal(values[index]?.value, expected, metric.name);
        assert.ok(values.every(({ labels }) => labels.x === undefined));
      }
      gauge.remove(null as never);
      assert.equal((await gauge.get()).values.length, 0);
    }
  }
});
