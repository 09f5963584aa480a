import type { Description } from './description.ts';

/** A summary; the length of its window is what its description says just then. */
interface Windowed {
  readonly description: Description;
}

/** The bins that changed within one step, and by how much. */
interface Step {
  /** When it began: what changed in it may be as old as that. */
  readonly fromMs: number;
  readonly slots: Int32Array;
  readonly growth: Float64Array;
}

interface Window {
  readonly ranges: [first: number, length: number][];
  steps: Step[];
  /** When the step began that is under way. */
  fromMs: number;
}

/** A window moves on in so many steps, of a second at least, and is at most one of them longer than asked for. */
const STEPS = 60;
const SHORTEST_STEP_MS = 1000;

/**
 * What the ever-growing counts of bins were when the window began: the window's own counts are the difference.
 *
 * Keeps the changes of each step, not copies of all bins, so an idle series costs nothing.
 */
export class SlidingWindows {
  readonly #windows = new Map<Windowed, Window>();
  #before = new Float64Array(0);
  #last = new Float64Array(0);
  /** The growth that the next look finds may be as old as this. */
  #sinceMs: number;

  /** @param nowMs the growth that the first look finds may be as old as this */
  constructor(nowMs = performance.now()) {
    this.#sinceMs = nowMs;
  }

  /** The counts by slot at the beginning of each slot's window. Slots beyond its end were 0. */
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

  /** The summary's slots may be used for something else. */
  remove(summary: Windowed): void {
    for (const [first, length] of this.#windows.get(summary)?.ranges ?? []) {
      this.#before.fill(0, first, first + length);
      this.#last.fill(0, first, first + length);
    }
    this.#windows.delete(summary);
  }

  /** The growth that the next look finds may be as old as this: it could not be read at the last one. */
  growthFrom(ms: number): void {
    this.#sinceMs = Math.min(this.#sinceMs, ms);
  }

  /**
   * Takes a step where one is due, and lets go of what may be too old. Where nobody has looked for longer than a window
   * lasts, there is no telling how old the growth is: the window begins anew.
   *
   * @param nowMs on a clock that never goes back
   * @param counts by slot, as they are now
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

  /** Any step may be too old, not only the first: see `growthFrom`. */
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
