import { NEAR_VALUES } from './changed-blocks.ts';

/** One room for so many series: most of those that are declared at the start never count. */
const SERIES_PER_ROOM = 2;

/**
 * Room for chunks of bins, kept free beside the series that may need it: their values change with those of the chunk, and
 * what lies near is written at once.
 */
export class ChunkRoom {
  /** The first slots of the free rooms, ascending. */
  readonly #free: number[] = [];
  #series = 0;

  /** Counts a further series with bins. @returns whether room is to be kept behind it */
  wantsMore(): boolean {
    return this.#series++ % SERIES_PER_ROOM === 0;
  }

  /** @param slot behind all others */
  add(slot: number): void {
    this.#free.push(slot);
  }

  /**
   * Takes the nearest room.
   *
   * @param series the first slot of the series
   * @param anywhere whether it may be so far away that it needs a write of its own
   * @returns the first slot; `null` when there is none
   */
  take(series: number, anywhere: boolean): number | null {
    let nearest = -1;
    let distance = anywhere ? Number.POSITIVE_INFINITY : NEAR_VALUES + 1;
    for (const [i, slot] of this.#free.entries()) {
      if (Math.abs(slot - series) >= distance) continue;
      nearest = i;
      distance = Math.abs(slot - series);
    }
    return nearest === -1 ? null : (this.#free.splice(nearest, 1)[0] ?? null);
  }
}
