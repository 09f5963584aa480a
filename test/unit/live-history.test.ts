import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { courseOf } from '../../src/ops/live/course.ts';
import { BOUNDS, compile, histogramQuantile, instantOf } from '../../src/ops/live/evaluate.ts';
import { History } from '../../src/ops/live/history.ts';
import { bucketKey } from '../../src/ops/live/kept.ts';
import type { Key } from '../../src/ops/live/model.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const NOON = Date.UTC(2026, 0, 1, 12);

/** A history with a clock of its own. */
function openHistory(...keys: Key[]) {
  const history = new History();
  for (const key of keys) history.makeColumn(key);
  let monoMs = 5 * SECOND;
  let wallMs = NOON;
  return {
    history,
    /** Adds a row after so much time; `wall`: the wall clock moves by another length. */
    add(values: readonly number[], elapsed = SECOND, wall = elapsed) {
      monoMs += elapsed;
      wallMs += wall;
      history.push(Float64Array.from(values), monoMs, wallMs);
    },
    value(key: Key) {
      const { latest } = history;
      assert.ok(latest);
      return compile(history, key)(instantOf(history, latest));
    },
    course: (key: Key, span: '5m' | '1h' | '6h' = '5m') => courseOf(history, span, [key]),
  };
}

test('increases are exact, also of any step of the counter and at any moment', () => {
  const step = fc.record({ grows: fc.nat(5), elapsed: fc.constantFrom(990, 1000, 1000, 1010, 1900) });
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 900 }), (steps) => {
      const { add, value } = openHistory('a_total');
      const rows = [{ at: 0, total: 0 }];
      add([0], 0);
      for (const { grows, elapsed } of steps) {
        const last = rows.at(-1) as (typeof rows)[0];
        rows.push({ at: last.at + elapsed, total: last.total + grows });
        add([last.total + grows], elapsed);
      }
      const now = rows.at(-1) as (typeof rows)[0];
      for (const [window, length] of [
        ['10s', 10 * SECOND],
        ['5m', 5 * MINUTE],
      ] as const) {
        const before = rows.findLast(({ at }) => at <= now.at - length) ?? { total: 0 };
        assert.equal(value(`increase(a_total[${window}])`), now.total - before.total, window);
      }
    }),
    { numRuns: 50 },
  );
});

test('an increase over an hour begins within 15 seconds before it, and 15 minutes ago it was what it was then', () => {
  const { add, value } = openHistory('a_total');
  const increases: (number | null)[] = [];
  for (let second = 0; second <= 2 * 3600; second++) {
    add([second]);
    increases.push(value('increase(a_total[1h])'));
  }
  const now = increases.at(-1) as number;
  assert.ok(now >= 3600 && now <= 3615, String(now));
  assert.equal(increases[1800], 1800, 'younger than an hour: since the start');
  const earlier = value('increase(a_total[1h] offset 15m)') as number;
  assert.ok(increases.slice(-930, -885).includes(earlier), String(earlier));
  assert.equal(value('a_total offset 15m'), 7200 - 900);
});

test('a counter that appears later began at 0, and one that is not measured has no number', () => {
  const { history, add, value } = openHistory('a_total');
  for (let i = 0; i < 20; i++) add([i]);
  history.makeColumn('b_total');
  add([20, 7]);
  assert.equal(value('increase(b_total[10s])'), 7);
  assert.equal(value('b_total'), 7);
  assert.equal(value('c_total'), null);
  assert.equal(value('increase(c_total[10s])'), null);
  add([Number.NaN, 7]);
  assert.equal(value('a_total'), null);
});

test('nothing is compared with a time before the start', () => {
  const { add, value } = openHistory('people', 'a_total');
  for (let i = 0; i < 60; i++) add([3, i]);
  assert.equal(value('people offset 15m'), null);
  assert.equal(value('increase(a_total[1h] offset 15m)'), null);
});

test('a rate is a difference divided by the time that has passed', () => {
  const { add, value } = openHistory('a_total');
  add([0]);
  assert.equal(value('rate(a_total[10s])'), null, 'one row has no rate');
  for (let i = 1; i <= 30; i++) add([i * 6], 2 * SECOND);
  assert.equal(value('rate(a_total[10s])'), 3);
});

test('a pause of the process makes a gap in the points and no wrong rate', () => {
  const { add, value, course } = openHistory('people', 'a_total');
  for (let i = 0; i < 60; i++) add([1, i * 10]);
  add([1, 100_000], 2 * MINUTE);
  assert.equal(value('rate(a_total[10s])'), null, 'the ten seconds began in the pause');
  for (let i = 1; i <= 12; i++) add([1, 100_000 + i * 10]);
  assert.equal(value('rate(a_total[10s])'), 10);
  const { at, values } = course('people');
  assert.equal(at.length, values.people?.length);
  assert.equal(values.people?.filter((each) => each === null).length, 1);
  assert.ok(isAscending(at));
});

test('a machine that sleeps leaves a gap by the wall clock', () => {
  const { add, value, course } = openHistory('people', 'a_total');
  for (let i = 0; i < 30; i++) add([1, i * 10]);
  // Linux stops the monotonic clock meanwhile.
  add([1, 300], SECOND, 8 * HOUR);
  assert.equal(value('rate(a_total[10s])'), 10);
  const { at, values } = course('people');
  assert.equal(values.people?.[30], null);
  assert.ok((at.at(-1) as number) - (at[29] as number) >= 8 * HOUR);
});

test('a wall clock that is set back moves the earlier points and marks with it', () => {
  const { history, add, value, course } = openHistory('people', 'a_total');
  for (let i = 0; i < 30; i++) add([1, i * 10]);
  history.mark({ at: NOON + 20 * SECOND, kind: 'reload', what: '' });
  add([1, 300], SECOND, -HOUR);
  assert.equal(value('rate(a_total[10s])'), 10);
  const { at, marks } = course('people');
  assert.ok(isAscending(at));
  assert.equal((at.at(-1) as number) - (at[0] as number), 30 * SECOND);
  assert.deepEqual(marks, [{ at: (at.at(-1) as number) - 11 * SECOND, kind: 'reload', what: '' }]);
});

test('a history is bounded, and reaches back 5 minutes and 6 hours', () => {
  const { history, add, course } = openHistory('a_total');
  for (let second = 0; second < 8 * 3600; second++) add([second]);
  assert.equal(history.fine.length, 330);
  assert.equal(history.coarse.length, 7 * 240 + 1);
  for (const [span, length, step] of [
    ['5m', 5 * MINUTE, SECOND],
    ['1h', HOUR, 15 * SECOND],
    ['6h', 6 * HOUR, MINUTE],
  ] as const) {
    const { at } = course('a_total', span);
    const covered = (at.at(-1) as number) - (at[0] as number);
    assert.ok(covered <= length && covered > length - 2 * step, `${span}: ${covered}`);
    assert.ok(
      at.every((each, i) => i === 0 || each - (at[i - 1] as number) === step),
      span,
    );
  }
  for (let i = 0; i < 600; i++) history.mark({ at: i, kind: 'restart', what: '1, signal' });
  assert.equal(history.marks.length, 500);
});

test('points that were there stay the same as time goes on', () => {
  const { add, course } = openHistory('a_total');
  for (let second = 0; second < 3 * 3600; second++) add([second]);
  const before = course('rate(a_total[10s])', '6h');
  for (let second = 0; second < 100; second++) add([3 * 3600 + second]);
  const after = course('rate(a_total[10s])', '6h');
  assert.deepEqual(after.at.slice(0, before.at.length), before.at);
});

test('quantiles are PromQL’s', () => {
  const counts = (...inEach: number[]) => {
    let sum = 0;
    return BOUNDS.map((_, i) => (sum += inEach[i] ?? 0));
  };
  assert.equal(histogramQuantile(0.5, counts()), null);
  assert.equal(histogramQuantile(0.5, counts(4)), 0.0025, 'linear from 0');
  assert.equal(histogramQuantile(0.5, counts(1, 2, 1)), 0.0075);
  assert.equal(histogramQuantile(1, counts(1, 0, 2)), 0.025);
  assert.equal(histogramQuantile(0.99, counts(1, ...Array(BOUNDS.length - 2).fill(0), 99)), 10, 'the highest bound');
});

test('a quantile is of its window, and of one route or of all pages', () => {
  const histogram = 'http_request_duration_seconds{route="/shop"}';
  const { history, add, value } = openHistory(...BOUNDS.map((le) => bucketKey(histogram, le)));
  const rowOf = (quick: number, slow: number) => BOUNDS.map((le) => (Number(le) < 1 ? quick : quick + slow));
  for (let i = 0; i < 60; i++) add(rowOf(100, 0));
  assert.equal(value(`histogram_quantile(0.5, ${histogram}[10s])`), null, 'no request in the window');
  add(rowOf(100, 5));
  const slow = value(`histogram_quantile(0.5, ${histogram}[10s])`) as number;
  assert.ok(slow > 0.75 && slow <= 1, String(slow));
  assert.ok((value(`histogram_quantile(0.5, ${histogram}[5m])`) as number) < 0.005);
  assert.equal(history.columnOf('nothing'), undefined);
});

test('a quotient has no number where nothing divides it', () => {
  const { add, value } = openHistory('a_total', 'b_total');
  add([0, 0]);
  add([3, 0]);
  assert.equal(value('increase(a_total[1h]) / increase(b_total[1h])'), null);
  add([3, 12]);
  assert.equal(value('increase(a_total[1h]) / increase(b_total[1h])'), 0.25);
});

function isAscending(numbers: readonly number[]): boolean {
  return numbers.every((each, i) => i === 0 || each > (numbers[i - 1] as number));
}
