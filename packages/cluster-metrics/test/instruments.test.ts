import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as prom from 'prom-client';
import { Counter, Gauge, Histogram, Summary, WorkerRegistry } from '../src/index.ts';

const ours = { Counter, Gauge, Histogram, Summary };
type Shared = typeof ours;

/** prom-client's classes take the same options as ours, although their types name their own registries. */
const stock = prom as unknown as Shared;

function newRegistry(library: Shared): WorkerRegistry {
  return library === ours ? new WorkerRegistry() : (new prom.Registry() as WorkerRegistry);
}

/** Uses of an instrument, with the metrics that they leave. */
const uses: Record<string, (library: Shared, registers: WorkerRegistry[]) => void> = {
  'counter without labels': ({ Counter }, registers) => {
    const counter = new Counter({ name: 'a_total', help: 'help', registers });
    counter.inc();
    counter.inc(2.5);
    counter.inc(0);
    counter.labels().inc(3);
  },
  'counter with labels': ({ Counter }, registers) => {
    const counter = new Counter({ name: 'a_total', help: 'help', labelNames: ['x', 'y'], registers });
    counter.inc({ x: 'a', y: 1 });
    counter.inc({ y: '1', x: 'a' }, 4);
    counter.labels('b', 'c').inc();
    counter.labels({ x: 'b' }).inc(2);
    counter.labels('never', 'counted');
  },
  'a metric without any calls': ({ Counter, Gauge, Histogram }, registers) => {
    new Counter({ name: 'a_total', help: 'help', registers });
    new Gauge({ name: 'b', help: 'help', registers });
    new Histogram({ name: 'c', help: 'help', registers });
    new Counter({ name: 'd_total', help: 'help', labelNames: ['x'], registers });
  },
  gauge: ({ Gauge }, registers) => {
    const gauge = new Gauge({ name: 'a', help: 'help', labelNames: ['x'], registers });
    gauge.set({ x: 'a' }, -4);
    gauge.inc({ x: 'b' });
    gauge.dec({ x: 'b' }, 3);
    gauge.labels('c').set(9);
    gauge.labels('c').dec();
    gauge.labels({ x: 'd' }).inc(2);
    gauge.set({ x: 'gone' }, 1);
    gauge.remove('gone');
  },
  'gauge that is reset': ({ Gauge }, registers) => {
    const plain = new Gauge({ name: 'a', help: 'help', registers });
    plain.set(4);
    plain.reset();
    const labelled = new Gauge({ name: 'b', help: 'help', labelNames: ['x'], registers });
    labelled.set({ x: 'a' }, 4);
    labelled.reset();
  },
  'gauge that collects': ({ Gauge }, registers) => {
    const gauge: Gauge = new Gauge({ name: 'a', help: 'help', registers, collect: () => gauge.set(5) });
  },
  histogram: ({ Histogram }, registers) => {
    const histogram = new Histogram({ name: 'a', help: 'help', labelNames: ['x'], buckets: [1, 2.5], registers });
    histogram.observe({ x: 'a' }, 1);
    histogram.observe({ x: 'a' }, 2);
    histogram.labels('a').observe(99);
    histogram.observe({ x: 'b' }, -1);
    histogram.zero({ x: 'c' });
  },
  'histogram without labels': ({ Histogram }, registers) => {
    new Histogram({ name: 'a', help: 'help', registers }).observe(0.3);
  },
};

/** Metrics as text, with fields and labels in a fixed order. */
function comparable(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(comparable);
  if (value === null || typeof value !== 'object') return String(value);
  const fields = Object.entries(value).filter(([, field]) => field != null);
  return Object.fromEntries(fields.sort().map(([name, field]) => [name, comparable(field)]));
}

for (const [name, use] of Object.entries(uses)) {
  test(`${name} shows what prom-client shows`, async () => {
    const expected = newRegistry(stock);
    const actual = newRegistry(ours);
    use(stock, [expected]);
    use(ours, [actual]);
    assert.deepEqual(comparable(await actual.getMetricsAsJSON()), comparable(await expected.getMetricsAsJSON()));
  });
}

/** The wrong types are intended: JavaScript users have no compiler. */
type Loose = Record<keyof Shared, new (options: object) => Record<string, (...args: unknown[]) => unknown>>;

const misuses: Record<string, (library: Loose, registers: WorkerRegistry[]) => void> = {
  'no help': ({ Counter }, registers) => new Counter({ name: 'a', registers }),
  'no name': ({ Gauge }, registers) => new Gauge({ help: 'help', registers }),
  'a bad name': ({ Histogram }, registers) => new Histogram({ name: 'a b', help: 'help', registers }),
  'a bad label name': ({ Summary }, registers) =>
    new Summary({ name: 'a', help: 'help', labelNames: ['1x'], registers }),
  'collect is no function': ({ Counter }, registers) =>
    new Counter({ name: 'a', help: 'help', collect: 'x', registers }),
  'a name twice': ({ Counter, Gauge }, registers) => {
    new Counter({ name: 'a', help: 'help', registers });
    new Gauge({ name: 'a', help: 'help', registers });
  },
  'le as a label': ({ Histogram }, registers) =>
    new Histogram({ name: 'a', help: 'help', labelNames: ['le'], registers }),
  'quantile as a label': ({ Summary }, registers) =>
    new Summary({ name: 'a', help: 'help', labelNames: ['quantile'], registers }),
  'a counter that goes back': ({ Counter }, registers) => new Counter({ name: 'a', help: 'h', registers }).inc?.(-1),
  'a counter by infinity': ({ Counter }, registers) =>
    new Counter({ name: 'a', help: 'h', registers }).inc?.(Number.POSITIVE_INFINITY),
  'a counter by a word': ({ Counter }, registers) => new Counter({ name: 'a', help: 'h', registers }).inc?.('1'),
  'a wrong label': ({ Counter }, registers) =>
    new Counter({ name: 'a', help: 'h', labelNames: ['x'], registers }).inc?.({ y: 1 }),
  'a wrong label beside a right one': ({ Histogram }, registers) =>
    new Histogram({ name: 'a', help: 'h', labelNames: ['x'], registers }).observe?.({ x: 1, y: 1 }, 1),
  'too many label values': ({ Counter }, registers) =>
    new Counter({ name: 'a', help: 'h', labelNames: ['x'], registers }).labels?.('a', 'b'),
  'a wrong label of a gauge': ({ Gauge }, registers) =>
    new Gauge({ name: 'a', help: 'h', labelNames: ['x'], registers }).labels?.({ y: 1 }),
  'a gauge set to a word': ({ Gauge }, registers) => new Gauge({ name: 'a', help: 'h', registers }).set?.('5'),
  'a gauge by a word': ({ Gauge }, registers) => new Gauge({ name: 'a', help: 'h', registers }).inc?.('5'),
  'an observation of a word': ({ Histogram }, registers) =>
    new Histogram({ name: 'a', help: 'h', registers }).observe?.('5'),
  'an observation of NaN': ({ Histogram }, registers) =>
    new Histogram({ name: 'a', help: 'h', labelNames: ['x'], registers }).observe?.({ x: 1 }, Number.NaN),
  'an observation of nothing': ({ Histogram }, registers) =>
    new Histogram({ name: 'a', help: 'h', labelNames: ['x'], registers }).observe?.({ x: 1 }),
};

/** The successor words two messages of prom-client differently. */
const SUCCESSORS_WORDS: Record<string, string> = {
  'Error: Invalid metric name: a b': 'Error: Invalid metric name',
  'Error: At least one label name is invalid: 1x': 'Error: Invalid label name',
};

function failure(misuse: () => void): string {
  try {
    misuse();
  } catch (error) {
    return String(error);
  }
  return 'no failure';
}

for (const [name, misuse] of Object.entries(misuses)) {
  test(`${name} fails as prom-client fails`, () => {
    const expected = failure(() => misuse(stock as unknown as Loose, [newRegistry(stock)]));
    const actual = failure(() => misuse(ours as unknown as Loose, [newRegistry(ours)]));
    assert.match(expected, /Error: /);
    assert.equal(actual, SUCCESSORS_WORDS[expected] ?? expected);
  });
}

test('input that prom-client accepts and counts wrongly is refused', () => {
  const registers = [new WorkerRegistry()];
  const common = { help: 'help', registers };
  assert.throws(() => new Counter({ ...common, name: 'a' }).inc(Number.NaN), /not a valid number: NaN/);
  assert.throws(() => new Histogram({ ...common, name: 'b', buckets: [2, 1] }), /ascending/);
  assert.throws(() => new Histogram({ ...common, name: 'b', buckets: [1, 1] }), /ascending/);
  assert.throws(() => new Histogram({ ...common, name: 'b', buckets: [Number.NaN] }), /ascending/);
  assert.throws(() => new Summary({ ...common, name: 'b', percentiles: [95] }), /from 0 to 1/);
  assert.throws(() => new Summary({ ...common, name: 'b', maxAgeSeconds: 0 }), /must be positive/);
  assert.throws(() => new Gauge({ help: 'help', name: 'b', registers: [] }), /must name a WorkerRegistry/);
  assert.throws(() => new prom.Summary({ ...common, name: 'b' }), /can't be merged/);
});

test('timers observe and return seconds', async () => {
  const registers = [new WorkerRegistry()];
  const labelNames = ['x', 'y'] as const;
  const histogram = new Histogram({ name: 'a', help: 'help', labelNames, registers });
  const summary = new Summary({ name: 'b', help: 'help', labelNames, registers });
  const gauge = new Gauge({ name: 'c', help: 'help', labelNames, registers });
  for (const instrument of [histogram, summary, gauge]) {
    const stop = instrument.startTimer({ x: '1' });
    const seconds = stop({ y: '2' });
    assert.ok(seconds > 0 && seconds < 1);
    const { values } = await instrument.get();
    assert.ok(values.every(({ labels }) => labels.x === '1' && labels.y === '2'));
    assert.ok(values.some(({ value }) => value === seconds));
  }
  assert.ok(histogram.labels('3', '4').startTimer()() > 0);
});

test('a summary shows its quantiles in its own process', async () => {
  const summary = new Summary({ name: 'a', help: 'help', percentiles: [0, 0.5, 1], registers: [new WorkerRegistry()] });
  for (const value of [-5, 0, 1, 2, 4]) summary.observe(value);
  const { values } = await summary.get();
  const [lowest, median, highest, sum, count] = values.map(({ value }) => value);
  for (const [actual, exact] of [
    [lowest, -5],
    [median, 1],
    [highest, 4],
  ] as const) {
    assert.ok(Math.abs((actual ?? Number.NaN) - exact) <= 0.01 * Math.abs(exact), `${actual} instead of ${exact}`);
  }
  assert.deepEqual([sum, count], [2, 5]);
});

test("a store's registry refuses reset, clear and removal of a metric", () => {
  const registry = new WorkerRegistry();
  const common = { help: 'help', registers: [registry] };
  for (const metric of [
    new Counter({ ...common, name: 'acts_total' }),
    new Histogram({ ...common, name: 'size' }),
    new Summary({ ...common, name: 'took_seconds' }),
  ]) {
    assert.throws(() => metric.reset(), /never goes back/);
  }
  assert.throws(() => registry.resetMetrics(), {
    message: 'Totals never go back: in a test, make a new WorkerRegistry(); a gauge has its own reset()',
  });
  assert.throws(() => registry.clear(), {
    message:
      'clear() would take totals back: in a test, make a new WorkerRegistry(); to hide series, call remove(labels) of the metric',
  });
  assert.throws(() => registry.removeSingleMetric('acts_total'), {
    message: "acts_total can't be removed from its store: to hide its series, call remove(labels) of the metric",
  });
});
