import assert from 'node:assert/strict';
import { test } from 'node:test';
import { growPoints, isSetBack, pointsOf } from '../../src/ops/live/client/courses.ts';
import type { Structure } from '../../src/ops/live/model.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const NOON = Date.UTC(2026, 0, 1, 12);
const STRUCTURE = { routes: ['/shop'], workers: 2 } as unknown as Structure;

test('points and marks that have left the span are given up', () => {
  const marks = [{ at: NOON, kind: 'reload', what: '' }] as const;
  const points = pointsOf({ span: '5m', at: [NOON], values: {}, marks }, STRUCTURE);
  for (let at = NOON + SECOND; at <= NOON + 10 * MINUTE; at += SECOND) growPoints(points, at, new Map());
  assert.equal(points.at.length, 301);
  assert.equal(points.at[0], NOON + 5 * MINUTE);
  for (const course of points.values.values()) assert.equal(course.length, 301);
  assert.deepEqual(points.marks, []);
});

test('a frame before the last point is of a clock that was set back', () => {
  const points = pointsOf({ span: '1h', at: [NOON], values: {}, marks: [] }, STRUCTURE);
  assert.equal(isSetBack(points, NOON + SECOND), false);
  assert.equal(isSetBack(points, NOON - MINUTE), true);
});
