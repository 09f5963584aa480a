import { randomInt } from 'node:crypto';
import { closeSync, mkdirSync, openSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { ChangedBlocks } from './changed-blocks.ts';
import { CLOSED, directoryStart, HEADER, HEADER_BYTES, MAGIC_WORD, storeFileName, WORD_BYTES } from './layout.ts';
import { ownThread, sharedClockMs, startTimeOf } from './process-identity.ts';

export interface StoreFileOptions {
  /** Folder of this instance, see `createStoreDirectory`; made if it is gone. */
  directory: string;
  /** Place number of the worker: letters, digits and `_`. A replacement takes its predecessor's. */
  worker: string;
  /** Values that the file has room for; default `DEFAULT_CAPACITY`. */
  capacity: number;
  /** Called once when writing begins to fail. The values stay in memory, and writing is tried again every second. */
  onProblem: (problem: Error) => void;
}

/**
 * The file of a store. Never throws: a full disk must not hurt the application.
 *
 * Writes the values first, then the directory, then the header, which makes the new part of the directory valid. So a
 * series that a reader finds has its values, and a crash between any two writes leaves a valid file.
 */
export class StoreFile {
  readonly capacity: number;
  readonly path: string;
  readonly #directoryFolder: string;
  readonly #onProblem: (problem: Error) => void;
  readonly #header = new Float64Array(HEADER_BYTES / WORD_BYTES);
  readonly #headerBytes = new Uint8Array(this.#header.buffer);
  #fd: number | null = null;
  #closed = false;
  #toldClosed = false;
  #failing = false;
  #directory = Buffer.alloc(4096);
  #directoryBytes = 0;

  constructor({ directory, worker, capacity, onProblem }: StoreFileOptions) {
    const thread = ownThread();
    const name = { worker, pid: process.pid, thread, startTime: startTimeOf(thread), life: randomInt(2 ** 48 - 1) };
    this.capacity = capacity;
    this.path = join(directory, storeFileName(name));
    this.#directoryFolder = directory;
    this.#onProblem = onProblem;
    this.#header[HEADER.magic] = MAGIC_WORD;
    this.#header[HEADER.capacity] = capacity;
    this.#header[HEADER.pid] = process.pid;
    this.#header[HEADER.life] = name.life;
  }

  /** Number of values that the file has room for and names in its directory. */
  get slotsWritten(): number {
    return this.#header[HEADER.slots] as number;
  }

  /** Whether the file has every record of the directory. */
  get hasAllRecords(): boolean {
    return this.#header[HEADER.directoryBytes] === this.#directoryBytes;
  }

  /** Adds a record to the directory in memory; the next `write` brings it to the file. */
  append(record: Buffer): void {
    const end = this.#directoryBytes + record.length;
    if (end > this.#directory.length) {
      const grown = Buffer.alloc(Math.max(end, 2 * this.#directory.length));
      this.#directory.copy(grown, 0, 0, this.#directoryBytes);
      this.#directory = grown;
    }
    record.copy(this.#directory, this.#directoryBytes);
    this.#directoryBytes = end;
  }

  /** Counts a failed write, so that the primary can report it. */
  countFailure(problem: Error): void {
    this.#header[HEADER.failures] = (this.#header[HEADER.failures] ?? 0) + 1;
    if (!this.#failing) this.#onProblem(problem);
    this.#failing = true;
  }

  /**
   * Counts a series or an observation that found no room in a full store.
   *
   * @param problem for `onProblem`; `null` when it was reported before, and the next heartbeat carries the number
   */
  countRefusal(problem: Error | null): void {
    this.#header[HEADER.failures] = (this.#header[HEADER.failures] ?? 0) + 1;
    if (problem === null) return;
    this.#onProblem(problem);
    this.#writeHeaderAlone();
  }

  /**
   * Writes the changed values, and the part of the directory that is not in the file yet.
   *
   * @param values the bytes of all values
   * @param changed left empty, also when the write fails: `rewrite` writes all values
   * @param slots values in use
   */
  write(values: Uint8Array, changed: ChangedBlocks, slots: number): void {
    if (this.#fd === null) {
      changed.clear();
      if (this.#closed) this.#tellClosed();
      return;
    }
    try {
      while (changed.take()) this.#writeValues(this.#fd, values, changed.first, changed.end);
      // `rewrite` tries again when growing the file has failed, not every request; old series need no new room.
      if (!this.#failing && !this.hasAllRecords) {
        this.#commitDirectory(this.#fd, this.#header[HEADER.directoryBytes] ?? 0, slots);
      }
    } catch (error) {
      changed.clear();
      this.countFailure(error as Error);
    }
  }

  /** Writes everything again, and the heartbeat. So a file that was damaged or could not be written is whole again. */
  rewrite(values: Uint8Array, slots: number): void {
    if (!this.#closed) this.#writeAll(values, slots, sharedClockMs());
  }

  /** Writes everything for the last time and marks the store as closed, so that the primary need not wait for the process to end. */
  close(values: Uint8Array, slots: number): void {
    if (this.#closed) return;
    this.#writeAll(values, slots, CLOSED);
    if (this.#fd !== null) closeSync(this.#fd);
    this.#fd = null;
    this.#closed = true;
  }

  #tellClosed(): void {
    if (this.#toldClosed) return;
    this.#toldClosed = true;
    this.#onProblem(
      new Error(
        'The store is closed: what is counted now is not shown. Close it after the last answer; a process that exits writes by itself',
      ),
    );
  }

  #writeAll(values: Uint8Array, slots: number, heartbeat: number): void {
    this.#header[HEADER.heartbeat] = heartbeat;
    try {
      this.#fd ??= this.#create();
      this.#writeValues(this.#fd, values, 0, slots);
      this.#commitDirectory(this.#fd, 0, slots);
      this.#failing = false;
    } catch (error) {
      this.countFailure(error as Error);
      this.#writeHeaderAlone();
    }
  }

  /** The file has another name until its header is written, so that no reader finds an empty file. */
  #create(): number {
    mkdirSync(this.#directoryFolder, { recursive: true, mode: 0o700 });
    const young = `${this.path}.new`;
    const fd = openSync(young, 'w', 0o600);
    try {
      writeFully(fd, this.#headerBytes, 0, HEADER_BYTES, 0);
      renameSync(young, this.path);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    return fd;
  }

  #writeValues(fd: number, values: Uint8Array, first: number, end: number): void {
    const last = Math.min(end, this.capacity);
    if (first >= last) return;
    writeFully(fd, values, first * WORD_BYTES, last * WORD_BYTES, HEADER_BYTES);
  }

  #commitDirectory(fd: number, from: number, slots: number): void {
    writeFully(fd, this.#directory, from, this.#directoryBytes, directoryStart(this.capacity));
    this.#header[HEADER.slots] = Math.min(slots, this.capacity);
    this.#header[HEADER.directoryBytes] = this.#directoryBytes;
    writeFully(fd, this.#headerBytes, 0, HEADER_BYTES, 0);
  }

  /** The heartbeat and the count of failures need no new room in the file. */
  #writeHeaderAlone(): void {
    if (this.#fd === null) return;
    try {
      writeFully(this.#fd, this.#headerBytes, 0, HEADER_BYTES, 0);
    } catch {
      // The failure was counted just before. The worker's age shows that it writes no more.
    }
  }
}

/**
 * Writes `bytes` from `first` to before `end` to the same place behind `start` in the file. A write to a full disk may
 * end short without an error.
 */
function writeFully(fd: number, bytes: Uint8Array, first: number, end: number, start: number): void {
  let at = first;
  while (at < end) {
    const written = writeSync(fd, bytes, at, end - at, start + at);
    if (written === 0) throw new Error('the file takes no more bytes');
    at += written;
  }
}
