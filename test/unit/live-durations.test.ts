import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NativeHistogram } from '@techcommerce/cluster-metrics';
import fc from 'fast-check';
import { type Bins, barsOf, countOf, quantileOf, upperBound } from '../../src/ops/live/bins.ts';
import { Durations } from '../../src/ops/live/durations.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** The index of the bin of a duration, by its logarithm as the specification has it. */
const indexOf = (seconds: number) => Math.ceil(Math.log2(seconds) * 64);

function binsOf(durations: readonly number[]): Bins {
  const counts = new Map<number, number>();
  for (const each of durations) counts.set(indexOf(each), (counts.get(indexOf(each)) ?? 0) + 1);
  return [...counts].sort(([a], [b]) => a - b);
}

/** Histograms of two series of a route each, as the registry gives them, and their readings. */
function openDurations() {
  const observed = new Map<string, number[]>();
  const series = ['GET', 'POST'].flatMap((method) =>
    ['/shop', '/cart'].map((route) => ({ labels: Object.freeze({ method, route }), method, route })),
  );
  const durations = new Durations();
  let monoMs = 0;
  return {
    durations,
    /** Counts a request. */
    observe(route: string, method: string, seconds: number) {
      const key = method + route;
      observed.set(key, [...(observed.get(key) ?? []), seconds]);
    },
    /** Reads all, after so much time. @returns the time */
    read(elapsed: number): number {
      monoMs += elapsed;
      const histograms = series.map(({ labels, method, route }): NativeHistogram => {
        const bins = binsOf(observed.get(method + route) ?? []);
        const positive = {
          indexes: Int32Array.from(bins, ([index]) => index),
          counts: Float64Array.from(bins, ([, count]) => count),
        };
        const negative = { indexes: new Int32Array(0), counts: new Float64Array(0) };
        const count = countOf(bins);
        const rest = { schema: 6, zeroThreshold: 0, zeroCount: 0, sum: 0 };
        return { name: 'took_seconds', labels, count, positive, negative, ...rest };
      });
      durations.push(histograms, monoMs);
      return monoMs;
    },
  };
}

test('a window has exactly what was counted since it begins, of each route alone and of all methods', () => {
  const step = fc.record({
    elapsed: fc.constantFrom(990, 1000, 1010, 10_000, 70_000, 400_000),
    requests: fc.array(
      fc.record({
        route: fc.constantFrom('/shop', '/cart'),
        method: fc.constantFrom('GET', 'POST'),
        seconds: fc.double({ min: 1e-5, max: 1000, noNaN: true }),
      }),
      { maxLength: 3 },
    ),
  });
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 200 }), (steps) => {
      const { durations, observe, read } = openDurations();
      const seen: { route: string; seconds: number; endMs: number }[] = [];
      const ends = [0];
      for (const { elapsed, requests } of steps) {
        for (const { route, method, seconds } of requests) observe(route, method, seconds);
        const endMs = read(elapsed);
        seen.push(...requests.map(({ route, seconds }) => ({ route, seconds, endMs })));
        ends.push(endMs);
      }
      const now = ends.at(-1) as number;
      for (const length of [5 * MINUTE, HOUR, 6 * HOUR]) {
        const { beginMs, endMs, binsOf: binsIn } = durations.window(length);
        assert.equal(endMs, now);
        const exact = ends.findLast((end) => end <= now - length) ?? 0;
        if (length === 5 * MINUTE) assert.equal(beginMs, exact);
        else assert.ok(beginMs <= exact && (beginMs > exact - 2 * MINUTE - 20 * SECOND || beginMs === 0), `${beginMs}`);
        for (const route of ['/shop', '/cart']) {
          const inside = seen.filter((each) => each.route === route && each.endMs > beginMs);
          assert.deepEqual(binsIn(route), binsOf(inside.map(({ seconds }) => seconds)));
        }
      }
      assert.deepEqual(durations.window(HOUR).binsOf('/nowhere'), []);
    }),
    { numRuns: 50 },
  );
});

test('six hours are kept, and not more', () => {
  const { durations, observe, read } = openDurations();
  let now = 0;
  while (now < 8 * HOUR) {
    observe('/shop', 'GET', 0.01);
    now = read(10 * SECOND);
  }
  for (const [length, longest] of [
    [5 * MINUTE, 5 * MINUTE],
    [HOUR, HOUR + MINUTE],
    [6 * HOUR, 6 * HOUR + MINUTE],
    [7 * HOUR, 6 * HOUR + 2 * MINUTE],
  ] as const) {
    const { beginMs, endMs, binsOf: binsIn } = durations.window(length);
    const covered = endMs - beginMs;
    assert.ok(covered >= Math.min(length, 6 * HOUR) && covered <= longest, `${covered} of ${length}`);
    assert.equal(countOf(binsIn('/shop')), covered / (10 * SECOND));
  }
});

test('what takes no time, or days, is counted in the outermost bins', () => {
  const { durations, observe, read } = openDurations();
  for (const seconds of [1e-12, 0.01, 1e6]) observe('/shop', 'GET', seconds);
  read(SECOND);
  const bins = durations.window(MINUTE).binsOf('/shop');
  const [lowest, , highest] = bins.map(([index]) => upperBound(index)) as [number, number, number];
  assert.equal(countOf(bins), 3);
  assert.ok(lowest > 0.9e-6 && lowest < 1e-6, String(lowest));
  assert.ok(highest > 3600 && highest < 5000, String(highest));
});

const someBins = fc
  .array(fc.tuple(fc.integer({ min: -1279, max: 768 }), fc.integer({ min: 1, max: 1000 })), { minLength: 1 })
  .map((pairs) => [...new Map(pairs)].sort(([a], [b]) => a - b));

test('bars have all requests within their bounds, are as many as fit, and follow each other', () => {
  fc.assert(
    fc.property(someBins, fc.integer({ min: 2, max: 400 }), (bins, most) => {
      const bars = barsOf(bins, most);
      assert.ok(bars.length <= most, `${bars.length} of ${most}`);
      for (const [i, { from, to, count }] of bars.entries()) {
        assert.ok(from < to);
        if (i > 0) assert.equal(from, bars[i - 1]?.to);
        const inside = bins.filter(([index]) => upperBound(index) > from && upperBound(index) <= to);
        assert.equal(count, countOf(inside));
      }
      assert.equal(
        bars.reduce((sum, { count }) => sum + count, 0),
        countOf(bins),
      );
    }),
  );
  const one = barsOf([[-400, 7]], 100);
  assert.ok((one.at(-1)?.to ?? 0) / (one[0]?.from ?? 1) >= 4, 'one bin has an axis, too');
});

test('where there is room, a bar is a bin', () => {
  const bins: Bins = [
    [-640, 3],
    [-639, 1],
    [-500, 2],
  ];
  const shown = barsOf(bins, 200).filter(({ count }) => count > 0);
  assert.deepEqual(
    shown,
    bins.map(([index, count]) => ({ from: upperBound(index - 1), to: upperBound(index), count })),
  );
});

test('quantiles are within 0.55 % of those of the durations themselves', () => {
  const durations = fc.array(fc.double({ min: 1e-5, max: 1000, noNaN: true }), { minLength: 1, maxLength: 500 });
  fc.assert(
    fc.property(durations, (all) => {
      const sorted = all.toSorted((a, b) => a - b);
      for (const q of [0, 0.5, 0.95, 0.99, 1]) {
        const exact = sorted[Math.max(1, Math.ceil(q * sorted.length)) - 1] as number;
        const found = quantileOf(q, binsOf(all)) as number;
        assert.ok(Math.abs(found / exact - 1) < 0.0055, `${found} for ${exact}`);
      }
    }),
  );
  assert.equal(quantileOf(0.5, []), null);
});
