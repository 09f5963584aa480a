import type { Description } from './description.ts';

/** A summary. Its description says how long the window is, and may change. */
interface Windowed {
  readonly description: Description;
}

/** The bins that changed within one step, and by how much each. */
interface Step {
  /** When it began: the oldest that a change in it may be. */
  readonly fromMs: number;
  readonly slots: Int32Array;
  readonly growth: Float64Array;
}

interface Window {
  readonly ranges: [first: number, length: number][];
  steps: Step[];
  /** When the present step began. */
  fromMs: number;
}

/** A window moves in this many steps, of at least a second each. It is at most one step longer than its length. */
const STEPS = 60;
const SHORTEST_STEP_MS = 1000;

/**
 * Counts of bins only grow. This keeps what they were when the window began; the counts of the window are the difference.
 *
 * Keeps the changes of each step instead of copies of all bins, so an idle series costs nothing.
 */
export class SlidingWindows {
  readonly #windows = new Map<Windowed, Window>();
  #before = new Float64Array(0);
  #last = new Float64Array(0);
  /** The oldest that growth found at the next look may be. */
  #sinceMs: number;

  /** @param nowMs the oldest that growth found at the first look may be */
  constructor(nowMs = performance.now()) {
    this.#sinceMs = nowMs;
  }

  /** The counts at the beginning of each slot's window, by slot. Slots beyond the end of the array were 0. */
  get before(): Float64Array {
    return this.#before;
  }

  /** The slots from `first` on are counts of this summary's bins. */
  add(summary: Windowed, first: number, length: number): void {
    let window = this.#windows.get(summary);
    if (window === undefined) {
      window = { ranges: [], steps: [], fromMs: Number.POSITIVE_INFINITY };
      this.#windows.set(summary, window);
    }
    window.ranges.push([first, length]);
  }

  /** Forgets a summary, so that its slots can be used for another one. */
  remove(summary: Windowed): void {
    for (const [first, length] of this.#windows.get(summary)?.ranges ?? []) {
      this.#before.fill(0, first, first + length);
      this.#last.fill(0, first, first + length);
    }
    this.#windows.delete(summary);
  }

  /** Growth found at the next look may be as old as this, as it could not be read at the last look. */
  growthFrom(ms: number): void {
    this.#sinceMs = Math.min(this.#sinceMs, ms);
  }

  /**
   * Ends the present step when it is due, and drops the steps that may be too old. After a pause that is longer than the
   * window, the age of the growth is unknown, and the window begins anew.
   *
   * @param nowMs on a clock that never goes back
   * @param counts the present counts, by slot
   */
  advance(nowMs: number, counts: Float64Array): void {
    if (this.#windows.size > 0) this.#growTo(counts.length);
    for (const [{ description }, window] of this.#windows) {
      const ageMs = (description.maxAgeSeconds ?? 0) * 1000;
      window.fromMs = Math.min(window.fromMs, this.#sinceMs);
      if (nowMs - window.fromMs >= ageMs / STEPS) {
        const step = this.#step(window, counts);
        if (step.slots.length > 0) window.steps.push(step);
        window.fromMs = nowMs;
      }
      this.#forgetBefore(nowMs - ageMs - Math.max(ageMs / STEPS, SHORTEST_STEP_MS), window);
    }
    this.#sinceMs = nowMs;
  }

  #step({ fromMs, ranges }: Window, counts: Float64Array): Step {
    const slots: number[] = [];
    const growth: number[] = [];
    for (const [first, length] of ranges) {
      for (let slot = first; slot < first + length; slot++) {
        const grown = (counts[slot] as number) - (this.#last[slot] as number);
        if (grown === 0) continue;
        slots.push(slot);
        growth.push(grown);
        this.#last[slot] = counts[slot] as number;
      }
    }
    return { fromMs, slots: Int32Array.from(slots), growth: Float64Array.from(growth) };
  }

  /** Looks at every step, since any may be too old: see `growthFrom`. */
  #forgetBefore(oldestMs: number, window: Window): void {
    const isOld = ({ fromMs }: Step) => fromMs <= oldestMs;
    if (!window.steps.some(isOld)) return;
    for (const step of window.steps) if (isOld(step)) this.#forget(step);
    window.steps = window.steps.filter((step) => !isOld(step));
  }

  #forget({ slots, growth }: Step): void {
    slots.forEach((slot, i) => {
      this.#before[slot] = (this.#before[slot] as number) + (growth[i] as number);
    });
  }

  #growTo(length: number): void {
    if (length <= this.#last.length) return;
    this.#before = copyTo(this.#before, length);
    this.#last = copyTo(this.#last, length);
  }
}

export function copyTo(values: Float64Array<ArrayBuffer>, length: number): Float64Array<ArrayBuffer> {
  const grown = new Float64Array(length);
  grown.set(values);
  return grown;
}
