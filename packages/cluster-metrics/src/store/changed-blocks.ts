/** Changes are marked by blocks of 64 values, 512 bytes. */
const BLOCK_SHIFT = 6;
const BLOCK = 1 << BLOCK_SHIFT;

/** Changed blocks with fewer blocks between them are written together: a system call costs as much as copying 8 KiB. */
const GAP_BLOCKS = 16;

/** Changed values at most so far apart are written together. */
export const NEAR_VALUES = GAP_BLOCKS * BLOCK;

/** Beyond the last block of the largest store. */
const NO_BLOCK = 1 << 30;

/**
 * The values that have changed since the last write, by blocks. Allocates nothing, since every request marks some and
 * takes them.
 */
export class ChangedBlocks {
  /** 1 for each block that has changed. */
  #marks: Uint8Array;
  #firstBlock = NO_BLOCK;
  #lastBlock = -1;
  /** The run of values that `take` has found; `end` is exclusive. */
  first = 0;
  end = 0;

  /** @param slots number of values */
  constructor(slots: number) {
    this.#marks = new Uint8Array(Math.ceil(slots / BLOCK));
  }

  get isEmpty(): boolean {
    return this.#lastBlock === -1;
  }

  /** @param slots number of values, not smaller than before */
  growTo(slots: number): void {
    const grown = new Uint8Array(Math.ceil(slots / BLOCK));
    grown.set(this.#marks);
    this.#marks = grown;
  }

  mark(slot: number): void {
    const block = slot >> BLOCK_SHIFT;
    this.#marks[block] = 1;
    if (block < this.#firstBlock) this.#firstBlock = block;
    if (block > this.#lastBlock) this.#lastBlock = block;
  }

  /** Marks all values from `first` to before `end`. */
  markAll(first: number, end: number): void {
    for (let slot = first; slot < end; slot += BLOCK) this.mark(slot);
    this.mark(end - 1);
  }

  /**
   * Takes the first run of changed blocks: sets `first` and `end`.
   *
   * @returns false when nothing has changed
   */
  take(): boolean {
    if (this.#lastBlock === -1) return false;
    this.first = this.#firstBlock << BLOCK_SHIFT;
    let block = this.#firstBlock;
    let last: number;
    do {
      last = block;
      this.#marks[block] = 0;
      block = this.#after(block);
    } while (block - last - 1 <= GAP_BLOCKS);
    this.end = (last + 1) << BLOCK_SHIFT;
    this.#firstBlock = block;
    if (block > this.#lastBlock) this.#lastBlock = -1;
    return true;
  }

  /** Forgets all changes. */
  clear(): void {
    if (this.#lastBlock === -1) return;
    this.#marks.fill(0, this.#firstBlock, this.#lastBlock + 1);
    this.#firstBlock = NO_BLOCK;
    this.#lastBlock = -1;
  }

  /** The next block that has changed; a number beyond all blocks when there is none. */
  #after(block: number): number {
    if (block >= this.#lastBlock) return NO_BLOCK;
    return this.#marks[block + 1] === 1 ? block + 1 : this.#marks.indexOf(1, block + 2);
  }
}
