import { courseKeys } from '../charts.ts';
import { type Course, type Key, type Mark, SPAN_SHAPES, type Span, type Structure } from '../model.ts';

const SECOND_MS = 1000;

/** What the charts draw: fetched once, then grown by the frames. */
export interface Points {
  readonly span: Span;
  readonly lengthMs: number;
  /** Milliseconds since 1970, ascending. */
  readonly at: number[];
  readonly values: ReadonlyMap<Key, (number | null)[]>;
  readonly marks: Mark[];
}

export function pointsOf(course: Course, structure: Structure): Points {
  const at = [...course.at];
  const nothing = at.map(() => null);
  const values = new Map(courseKeys(structure).map((key) => [key, [...(course.values[key] ?? nothing)]]));
  return { span: course.span, lengthMs: SPAN_SHAPES[course.span].lengthMs, at, values, marks: [...course.marks] };
}

/** Whether the primary's clock was set back: it has moved its earlier points with the clock, so they are fetched anew. */
export function isSetBack(points: Points, at: number): boolean {
  return at < (points.at.at(-1) ?? 0);
}

/**
 * Adds a frame when the next step is due. After a pause, a point without numbers comes before it, as in the primary's own
 * courses: no line is drawn over the gap.
 *
 * @returns whether it did
 */
export function growPoints(points: Points, at: number, current: ReadonlyMap<Key, number | null>): boolean {
  const { stepMs, lengthMs } = SPAN_SHAPES[points.span];
  const last = points.at.at(-1) ?? 0;
  // Frames come a little early or late.
  if (at - last < stepMs - SECOND_MS / 2) return false;
  if (points.at.length > 0 && at - last > 3 * stepMs) {
    points.at.push(last + stepMs);
    for (const course of points.values.values()) course.push(null);
  }
  points.at.push(at);
  for (const [key, course] of points.values) course.push(current.get(key) ?? null);
  const old = points.at.findIndex((each) => each >= at - lengthMs);
  if (old > 0) {
    points.at.splice(0, old);
    for (const course of points.values.values()) course.splice(0, old);
    const marks = points.marks.filter((mark) => mark.at >= at - lengthMs);
    points.marks.splice(0, points.marks.length, ...marks);
  }
  return true;
}
