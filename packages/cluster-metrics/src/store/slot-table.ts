import type { Description } from './description.ts';
import { slotsOf } from './layout.ts';
import { SlidingWindows } from './window.ts';

/** What a value is. */
export const SLOT = {
  /** Of a gauge, or unused. */
  free: 0,
  /** Of observations: finite, and never decreases. */
  count: 1,
  /** The sum of a histogram's or a summary's observations: decreases when one is negative. May overflow to an infinity. */
  sum: 2,
  /** A counter's: never decreases. May overflow; prom-client's own may be NaN. */
  total: 3,
} as const;

/** What is known about each value of an array, by slot. */
export class SlotTable {
  /** The bins of the summaries among them. */
  readonly windows = new SlidingWindows();
  #kinds = new Uint8Array(1024);

  /** One of `SLOT`, by slot. */
  get kinds(): Uint8Array {
    return this.#kinds;
  }

  /** The values from `first` on belong to a series of this metric, or to one chunk of it. */
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
