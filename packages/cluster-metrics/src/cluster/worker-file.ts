import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import {
  CLOSED,
  decodeRecords,
  directoryStart,
  HEADER,
  HEADER_BYTES,
  MAGIC_WORD,
  type StoreName,
  WORD_BYTES,
} from '../store/layout.ts';
import type { Report } from '../store/problems.ts';
import type { SeriesIndex } from './series-index.ts';
import { SlotMapping } from './slot-mapping.ts';

const HEADER_WORDS = HEADER_BYTES / WORD_BYTES;

/**
 * A worker's store as the primary reads it. Keeps the file open, so that nothing is lost when it is removed, and keeps the
 * last good values, so that nothing is lost when it is damaged.
 */
export class WorkerFile {
  readonly name: StoreName;
  readonly mapping: SlotMapping;
  readonly #fd: number;
  readonly #index: SeriesIndex;
  readonly #report: Report;
  /** The last good reading of header and values, and room for the next one. */
  #good = new Float64Array(HEADER_WORDS);
  #next = new Float64Array(HEADER_WORDS);
  /** Number of words to read: the header, and the values that were in use at the last reading. */
  #words = HEADER_WORDS;
  #directoryRead = 0;
  #failures = 0;
  /** The oldest that growth found at the next reading may be. */
  #sinceMs: number;
  /** What the next whole reading finds is not added: only later growth is. */
  #isBase: boolean;
  /** The worker's failures when its directory had last grown. */
  #failuresAtGrowth = 0;
  /** Heartbeat of the first of the present row of readings in which values went back. */
  #wentBackAt: number | null = null;

  /**
   * @param sinceMs a time at which the file was not there yet, by `performance.now`
   * @param isBase adds only the growth after the first whole reading
   * @throws when the system can't open the file
   */
  constructor(path: string, name: StoreName, index: SeriesIndex, report: Report, sinceMs: number, isBase: boolean) {
    // open(2): else a pipe in the folder would block, and a link could lead to a file that a worker with fewer rights may
    // not read.
    this.#fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
    this.name = name;
    this.mapping = new SlotMapping(index, false, report);
    this.#index = index;
    this.#report = report;
    this.#sinceMs = sinceMs;
    this.#isBase = isBase;
  }

  /** The last good values, by slot. */
  get values(): Float64Array {
    return this.#good.subarray(HEADER_WORDS);
  }

  /** When the worker's event loop last ran, by `sharedClockMs`; 0 when nothing could be read. */
  get heartbeatMs(): number {
    return this.#good[HEADER.heartbeat] as number;
  }

  /** Whether the worker has the store open and its values could be read. */
  get isKnown(): boolean {
    return this.heartbeatMs > 0;
  }

  /** Whether the worker has closed it: nothing will change any more. */
  get isClosed(): boolean {
    return this.heartbeatMs === CLOSED;
  }

  /** Reads the values and adds their growth to the merged ones. Reports problems, and never throws. */
  read(): void {
    try {
      this.#read();
    } catch (error) {
      this.#report('unreadable', (error as Error).message);
    }
  }

  close(): void {
    closeSync(this.#fd);
  }

  #read(): void {
    const readAtMs = performance.now();
    let wordsRead = this.#readWords();
    if (!this.#headerIsGood(wordsRead)) return;
    // The store may grow between two readings; the directory must not name values that were not read.
    while (HEADER_WORDS + this.#header(HEADER.slots) > this.#words) {
      this.#growTo(HEADER_WORDS + this.#header(HEADER.slots));
      wordsRead = this.#readWords();
      if (!this.#headerIsGood(wordsRead)) return;
    }
    this.#readDirectory();
    const cut = wordsRead < this.#words;
    if (cut) this.#next.set(this.#good.subarray(wordsRead, this.#words), wordsRead);
    const changed = this.mapping.changed(this.#next, this.#good, HEADER_WORDS);
    const damaged = this.mapping.wentBack(changed, this.#next, this.#good, HEADER_WORDS);
    if (!this.#believes(damaged)) return;
    this.mapping.slots.windows.growthFrom(this.#sinceMs);
    if (!this.#isBase) {
      const heartbeat = this.#header(HEADER.heartbeat);
      this.mapping.addGrowth(changed, this.#next, this.#good, HEADER_WORDS, damaged, heartbeat);
      this.#index.slots.windows.growthFrom(this.#sinceMs);
    }
    const isWhole = !cut && !damaged && this.#directoryRead >= this.#header(HEADER.directoryBytes);
    if (isWhole) this.#isBase = false;
    if (!this.#isBase) this.#sinceMs = readAtMs;
    [this.#good, this.#next] = [this.#next, this.#good];
    this.mapping.readRemovals(this.values);
    if (cut) this.#report('torn', 'the values are cut short');
    this.#reportFailures();
  }

  /**
   * When values went back, the rest may be noise that looks like growth. By its next heartbeat the worker has rewritten
   * everything. Then the rest is true, and a value that is still below its last one was raised by damage that was believed.
   */
  #believes(damaged: boolean): boolean {
    if (!damaged) {
      this.#wentBackAt = null;
      return true;
    }
    this.#report('torn', 'values went back');
    this.#wentBackAt ??= this.#header(HEADER.heartbeat);
    return this.#wentBackAt !== this.#header(HEADER.heartbeat);
  }

  #reportFailures(): void {
    const failures = this.#good[HEADER.failures] as number;
    if (failures > this.#failures)
      this.#report('unwritable', `the worker failed to write, or found its store full, ${failures} times`);
    this.#failures = failures;
  }

  #growTo(words: number): void {
    this.#words = words;
    if (words <= this.#next.length) return;
    const length = Math.max(words, 2 * this.#next.length);
    this.#next = new Float64Array(length);
    const good = new Float64Array(length);
    good.set(this.#good);
    this.#good = good;
  }

  /** @returns whole words read */
  #readWords(): number {
    const bytes = new Uint8Array(this.#next.buffer, 0, this.#words * WORD_BYTES);
    return Math.floor(readSync(this.#fd, bytes, 0, bytes.length, 0) / WORD_BYTES);
  }

  #header(word: number): number {
    return this.#next[word] as number;
  }

  #headerIsGood(wordsRead: number): boolean {
    if (wordsRead < HEADER_WORDS) {
      this.#report('torn', 'the header is cut short');
      return false;
    }
    if (this.#header(HEADER.magic) !== MAGIC_WORD || this.#header(HEADER.life) !== this.name.life) {
      this.#report('foreign', 'it is no store of this version, or that of another process');
      return false;
    }
    const slots = this.#header(HEADER.slots);
    const directoryBytes = this.#header(HEADER.directoryBytes);
    const valuesEnd = HEADER_BYTES + slots * WORD_BYTES;
    const valuesKnown = this.#words * WORD_BYTES;
    const size = valuesEnd > valuesKnown || directoryBytes > this.#directoryRead ? fstatSync(this.#fd).size : 0;
    // A writer names only what it has written before. And a number beyond the file would cost its size in memory.
    const good =
      isCount(this.#header(HEADER.capacity)) &&
      isCount(slots) &&
      isCount(directoryBytes) &&
      valuesEnd <= Math.max(size, valuesKnown) &&
      directoryBytes <= Math.max(size, this.#directoryRead);
    if (!good) this.#report('torn', 'the header names more than the file holds');
    return good;
  }

  #readDirectory(): void {
    const length = this.#header(HEADER.directoryBytes) - this.#directoryRead;
    if (length <= 0) return;
    const bytes = Buffer.alloc(length);
    const start = directoryStart(this.#header(HEADER.capacity)) + this.#directoryRead;
    const found = bytes.subarray(0, readSync(this.#fd, bytes, 0, length, start));
    const { records, bytesRead } = decodeRecords(found);
    this.#directoryRead += bytesRead;
    if (bytesRead > 0) this.#dateNewSeries();
    for (const record of records) {
      const length = this.mapping.add(record, this.#words - HEADER_WORDS);
      // An earlier reading may have found values that had no record yet, or one that was damaged. They count now.
      if (record.kind === 'series') this.#good.fill(0, HEADER_WORDS + record.slot, HEADER_WORDS + record.slot + length);
    }
    if (bytesRead < length) this.#report('torn', 'the directory is damaged');
  }

  /** New series of a worker that failed to write for a while may be of any age: they were in its memory only. */
  #dateNewSeries(): void {
    const failures = this.#header(HEADER.failures);
    if (failures > this.#failuresAtGrowth) this.#sinceMs = Number.NEGATIVE_INFINITY;
    this.#failuresAtGrowth = failures;
  }
}

function isCount(value: number): boolean {
  return Number.isInteger(value) && value >= 0;
}
