/** The bins that changed within one step, and by how much. */
interface Step {
  readonly atMs: number;
  readonly slots: Int32Array;
  readonly growth: Float64Array;
}

interface Window {
  readonly ranges: [first: number, length: number][];
  readonly steps: Step[];
  stepAtMs: number;
}

/** A window moves on in so many steps, so it is at most 1/60 longer than asked for. */
const STEPS = 60;

/**
 * What the ever-growing counts of bins were when the window began: the window's own counts are the difference.
 *
 * Keeps the changes of each step, not copies of all bins, so an idle series costs nothing.
 */
export class SlidingWindows {
  readonly #windows = new Map<number, Window>();
  #before = new Float64Array(0);
  #last = new Float64Array(0);

  /** The counts by slot at the beginning of each slot's window. Slots beyond its end were 0. */
  get before(): Float64Array {
    return this.#before;
  }

  /** The slots from `first` on are counts of bins with a window of this length. */
  add(maxAgeSeconds: number, first: number, length: number): void {
    let window = this.#windows.get(maxAgeSeconds);
    if (window === undefined) {
      window = { ranges: [], steps: [], stepAtMs: Number.NEGATIVE_INFINITY };
      this.#windows.set(maxAgeSeconds, window);
    }
    window.ranges.push([first, length]);
  }

  /**
   * Takes a step where one is due, and lets go of what is too old.
   *
   * @param nowMs on a clock that never goes back
   * @param counts by slot, as they are now
   */
  advance(nowMs: number, counts: Float64Array): void {
    this.#growTo(counts.length);
    for (const [maxAgeSeconds, window] of this.#windows) {
      const ageMs = maxAgeSeconds * 1000;
      if (nowMs - window.stepAtMs < ageMs / STEPS) continue;
      window.stepAtMs = nowMs;
      const step = this.#step(nowMs, window, counts);
      if (step.slots.length > 0) window.steps.push(step);
      while (window.steps[0] !== undefined && nowMs - window.steps[0].atMs >= ageMs) {
        this.#forget(window.steps.shift() as Step);
      }
    }
  }

  #step(atMs: number, { ranges }: Window, counts: Float64Array): Step {
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
    return { atMs, slots: Int32Array.from(slots), growth: Float64Array.from(growth) };
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
