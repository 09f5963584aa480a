import type { Description } from './description.ts';
import { slotsOf } from './layout.ts';
import { SlidingWindows } from './window.ts';

/** The kinds of values. */
export const SLOT = {
  /** Of a gauge, or unused. */
  free: 0,
  /** A count of observations: finite, and never decreases. */
  count: 1,
  /** The sum of a histogram's or summary's observations. A negative one decreases it. May overflow to an infinity. */
  sum: 2,
  /** The total of a counter: never decreases. May overflow; NaN in a counter of prom-client's that took NaN. */
  total: 3,
} as const;

/** The kind of each value of an array, by slot. */
export class SlotTable {
  /** The windows of the summaries among them. */
  readonly windows = new SlidingWindows();
  #kinds = new Uint8Array(1024);

  /** One of `SLOT`, by slot. */
  get kinds(): Uint8Array {
    return this.#kinds;
  }

  /** Notes that the values from `first` on belong to a series of this metric, or to one chunk of it. */
  add(metric: { readonly description: Description }, first: number, chunk: number | undefined): void {
    const { description } = metric;
    if (description.type === 'gauge') return;
    const length = slotsOf(description, chunk);
    this.#setKinds(first, length, description.type === 'counter' ? SLOT.total : SLOT.count);
    // A histogram and a summary begin with their sum.
    const beginsWithSum = description.type !== 'counter' && chunk === undefined;
    if (beginsWithSum) this.#setKinds(first, 1, SLOT.sum);
    if (description.type !== 'summary') return;
    const skip = beginsWithSum ? 1 : 0;
    this.windows.add(metric, first + skip, length - skip);
  }

  #setKinds(first: number, length: number, kind: number): void {
    if (first + length > this.#kinds.length) {
      const grown = new Uint8Array(Math.max(2 * this.#kinds.length, first + length));
      grown.set(this.#kinds);
      this.#kinds = grown;
    }
    this.#kinds.fill(kind, first, first + length);
  }
}
