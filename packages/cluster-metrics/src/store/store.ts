import { inspect } from 'node:util';
import { CHUNK_BINS } from './bins.ts';
import { ChangedBlocks } from './changed-blocks.ts';
import { ChunkRoom } from './chunk-room.ts';
import {
  type Description,
  type DirectoryRecord,
  type ExemplarRecord,
  hasBins,
  type LabelTuple,
  type RemovalRecord,
  type SeriesRecord,
} from './description.ts';
import { type Exemplar, Exemplars, encodeExemplar, type KeptExemplar } from './exemplars.ts';
import { DEFAULT_CAPACITY, encodeRecord, slotsOf } from './layout.ts';
import { SlotTable } from './slot-table.ts';
import { StoreFile } from './store-file.ts';
import { copyTo } from './window.ts';

export interface OpenStoreOptions {
  /** Folder of this instance, made by the primary with `createStoreDirectory`. */
  directory: string;
  /** Place number of this worker: letters, digits and `_`. A replacement takes its predecessor's. */
  worker: string | number;
  /**
   * Values that the file has room for, 8 bytes each of a sparse file. Default 1,048,576. A counter's series takes 1, a
   * gauge's 2, that of a histogram of n buckets n + 2, a summary's 2, a native histogram's n + 3; the last two take 64 more
   * for each power of two that their observations span.
   */
  capacity?: number;
  /**
   * Called once when writing to the file begins to fail; the store goes on in memory and tries again every second. Called
   * once for each metric that finds no room in a full store, and once when something is counted after `close`. Default: a
   * process warning.
   */
  onProblem?: (problem: Error) => void;
}

/** Between two heartbeats, and between two steps of the summaries' windows. */
const TICK_MS = 1000;
/** A lazy change is written after this time, if no other write has included it. */
const LAZY_MS = 50;

/** Stores with a file: their pending changes are written when the process exits. */
const openStores = new Set<Store>();
/** The process is exiting: no microtask and no timer runs any more, so every change is written at once. */
let exiting = false;

/** Runs before the application's exit handlers, so that their changes are written at once. */
function writeAtExit(): void {
  exiting = true;
  for (const store of openStores) store.flush();
}

/** Its `then` calls back at the end of the turn. */
const TURN = Promise.resolve();

/** The text of a missing place: all workers would have the same one. */
const NO_PLACE = ['undefined', 'null', 'NaN'];

const MAX_CAPACITY = 2 ** 30;

/** A record of values that have no room yet. */
type Unplaced = Omit<SeriesRecord, 'slot'> | Omit<RemovalRecord, 'slot'> | Omit<ExemplarRecord, 'slot'>;

/**
 * Opens the store of this process: one file per life of a worker.
 *
 * Does not throw when there is no room or no right to write: then the values stay in memory, `onProblem` is called, and
 * opening the file is tried again every second.
 *
 * @throws {TypeError} when `directory` is no path, `worker` can't be part of a file name, or `capacity` is no whole number
 */
export function openStore(options: OpenStoreOptions): Store {
  const {
    directory,
    worker,
    capacity = DEFAULT_CAPACITY,
    onProblem = (problem) => process.emitWarning(problem),
  }: Partial<OpenStoreOptions> = options ?? {};
  if (typeof directory !== 'string' || directory === '') {
    throw new TypeError(
      `directory must be the path that createStoreDirectory().path has in the primary, handed to the worker as in cluster.fork({ STORES: stores.path }): ${inspect(directory)}`,
    );
  }
  if (!/^\w{1,64}$/.test(String(worker)) || NO_PLACE.includes(String(worker))) {
    throw new TypeError(
      `worker must be this worker's place, letters, digits and _, which its replacement takes over, as in openStore({ directory, worker: 1 }): ${inspect(worker)}`,
    );
  }
  if (!Number.isInteger(capacity) || capacity < 1 || capacity > MAX_CAPACITY) {
    throw new TypeError(`capacity must be a whole number of values, from 1 to ${MAX_CAPACITY}: ${inspect(capacity)}`);
  }
  return new Store(new StoreFile({ directory, worker: String(worker), capacity, onProblem }));
}

/**
 * The values of one process' metrics: an array of float64, and a directory that says which series each value belongs to.
 *
 * With a file, the first change in a turn of the event loop queues a microtask that writes all changes of that turn, lazy
 * ones included. Pending changes are written when the process exits by itself. Without a file (`new Store()`), the values
 * live in memory only.
 */
export class Store {
  #values = new Float64Array(1024);
  #rests = new Float64Array(1024);
  /** The same memory as bytes: to make a view at every write would cost as much as the write. */
  #bytes = new Uint8Array(this.#values.buffer);
  readonly records: DirectoryRecord[] = [];
  /** The kinds of the summaries' values: for their windows. */
  readonly #summarySlots = new SlotTable();
  readonly #metrics: { readonly description: Description }[] = [];
  /** The slot of the value that says whether a series is removed, by the series' first slot. */
  readonly #removals = new Map<number, number>();
  readonly #file: StoreFile | null;
  #tick: NodeJS.Timeout | undefined;
  #lazyFlush: NodeJS.Timeout | undefined;
  readonly #flushTurn = () => this.flush();
  readonly #flushLazily = () => {
    this.#lazyFlush = undefined;
    this.flush();
  };
  /** Values that the file has room for. */
  readonly #capacity: number;
  /** Values in use within the capacity of the file. */
  #slots = 0;
  /** Values in use that the file has no room for: their slots lie beyond its capacity. */
  #slotsBeyond = 0;
  readonly #chunkRoom = new ChunkRoom();
  readonly #exemplars = new Exemplars();
  /** The first slots of chunks whose records may not be in the file yet, though their values are. */
  readonly #unnamed = new Set<number>();
  /** Names of the metrics that found no room and were reported. */
  readonly #toldFull = new Set<string>();
  readonly #changed = new ChangedBlocks(1024);
  #directoryChanged = false;
  #queued = false;

  constructor(file: StoreFile | null = null) {
    this.#file = file;
    this.#capacity = file?.capacity ?? Number.POSITIVE_INFINITY;
    if (file === null) return;
    file.rewrite(this.#bytes, 0);
    if (openStores.size === 0) process.prependListener('exit', writeAtExit);
    openStores.add(this);
    this.#tick = setInterval(() => {
      this.rewrite();
      this.slide();
    }, TICK_MS).unref();
  }

  /** Replaced by a larger array when it grows: ask for it anew at each use. */
  get values(): Float64Array {
    return this.#values;
  }

  /**
   * The rests of counters and of sums of observations, by slot: see sums.ts. In memory only, since a rest is less than half
   * of the last bit of its value. Replaced together with the values.
   */
  get rests(): Float64Array {
    return this.#rests;
  }

  /** Path of the store's file, or `null` when the values live in memory only. */
  get path(): string | null {
    return this.#file?.path ?? null;
  }

  /** @returns the metric's number */
  addMetric(description: Description): number {
    if (description.type === 'summary') {
      // Its window begins now: a store in memory slides its windows only while it has a summary.
      this.slide();
      this.#tick ??= slideRegularly(this);
    }
    this.#addRecord({ kind: 'metric', description });
    return this.#metrics.push({ description }) - 1;
  }

  /**
   * Makes room for the values of a series: for all of them in the file, or else for all of them in memory only.
   *
   * @param number the metric's
   * @param startMs a time at which the values that will be counted were 0, in milliseconds since 1970; `UNKNOWN_START`
   * @returns the first of the series' values, all of them 0
   */
  addSeries(number: number, labels: LabelTuple, startMs = Date.now()): number {
    const metric = this.#metric(number);
    const { description } = metric;
    const length = slotsOf(description, undefined);
    const hasRoom = this.#hasRoom(length);
    if (!hasRoom) this.#tellFull(description, length, 'has a series in memory only');
    const record = { kind: 'series', metric: number, labels, startMs } as const;
    const first = hasRoom ? this.#take(length, record) : this.#takeMemory(length);
    if (description.type === 'summary') this.#summarySlots.add(metric, first, undefined);
    if (this.#file !== null && hasRoom && hasBins(description)) this.#keepChunkRoom();
    return first;
  }

  /** Keeps room for a chunk behind the series that was just made, unless the store is half full. */
  #keepChunkRoom(): void {
    if (this.#slots + CHUNK_BINS > this.#capacity / 2 || !this.#chunkRoom.wantsMore()) return;
    this.#chunkRoom.add(this.#take(CHUNK_BINS));
  }

  /**
   * Makes room for a chunk of bins of a series.
   *
   * Takes the room in the file at once, so that `hasRoomFor` knows whether there is any: near the series if possible, so
   * that a change of both is one write.
   *
   * @param series the first of the series' values
   * @returns the first of the chunk's values; `null` when the series is in the file and the chunk finds no room there
   */
  addChunk(number: number, labels: LabelTuple, series: number, chunk: number): number | null {
    const metric = this.#metric(number);
    const { description } = metric;
    const length = slotsOf(description, chunk);
    const record = { kind: 'series', metric: number, labels, chunk } as const;
    let first: number | null;
    if (series >= this.#capacity) {
      first = this.#takeMemory(length);
    } else {
      const hasRoom = this.#hasRoom(length);
      first = this.#takeKept(series, !hasRoom, record) ?? (hasRoom ? this.#take(length, record) : null);
    }
    if (first === null) {
      this.#tellFull(description, length, 'leaves out observations, in sum and count alike');
      return null;
    }
    if (description.type === 'summary') this.#summarySlots.add(metric, first, chunk);
    this.flush();
    return first;
  }

  /**
   * Marks a series as removed in this process. Its values stay.
   *
   * @param series the first of the series' values
   */
  removeSeries(number: number, labels: LabelTuple, series: number): void {
    const slot = this.#removals.get(series) ?? this.#addRemoval(number, labels, series);
    this.#removals.set(series, slot);
    this.#setRemoved(slot, 1);
  }

  /** Undoes `removeSeries`. */
  restoreSeries(series: number): void {
    const slot = this.#removals.get(series);
    if (slot !== undefined) this.#setRemoved(slot, 0);
  }

  #addRemoval(number: number, labels: LabelTuple, series: number): number {
    if (series >= this.#capacity) return this.#takeMemory(1);
    if (this.#hasRoom(1)) return this.#take(1, { kind: 'removal', metric: number, labels });
    this.#tellFull(this.#metric(number).description, 1, 'goes on to show a series that was removed');
    return this.#takeMemory(1);
  }

  #setRemoved(slot: number, removed: 0 | 1): void {
    this.#values[slot] = removed;
    this.touch(slot);
  }

  /**
   * Keeps an exemplar in the place of the last one of its bucket. It is in memory alone until the next heartbeat, so that
   * an observation costs no write for it; a worker's death takes it.
   *
   * @param series the first of the series' values
   * @param bucket its number, from 0
   */
  setExemplar(series: number, bucket: number, exemplar: Exemplar): void {
    this.#exemplars.set(series, bucket, exemplar);
  }

  /** The exemplar of a bucket as it stands in this process. */
  exemplarAt(series: number, bucket: number): Exemplar | undefined {
    return this.#exemplars.at(series, bucket);
  }

  /** Brings the exemplars to the values, where the primary finds them. Happens by itself at each heartbeat of a file. */
  writeExemplars(): void {
    for (const kept of this.#exemplars.takeChanged()) {
      const encoded = encodeExemplar(kept.exemplar, kept.length);
      if (encoded.length <= kept.length || this.#makeRoomFor(kept, encoded.length))
        this.#values.set(encoded, kept.slot);
    }
  }

  /** @returns false when the store is half full: the rest is for counts */
  #makeRoomFor(kept: KeptExemplar, length: number): boolean {
    const { series, bucket } = kept;
    if (series >= this.#capacity || this.#slots + length > this.#capacity / 2) return false;
    kept.slot = this.#take(length, { kind: 'exemplar', series, bucket, length });
    kept.length = length;
    return true;
  }

  /**
   * Whether a change of a series and a change of its chunk reach the file together. They do not while the disk has room for
   * the series only.
   */
  hasRoomFor(series: number, chunk: number): boolean {
    if (this.#file === null || series >= this.#file.slotsWritten) return true;
    if (chunk < this.#file.slotsWritten && !this.#isUnnamed(chunk, this.#file)) return true;
    this.#file.countRefusal(null);
    return false;
  }

  /** Whether the file has the room of a chunk, but not the record that says whose it is. */
  #isUnnamed(chunk: number, file: StoreFile): boolean {
    if (this.#unnamed.size === 0) return false;
    if (file.hasAllRecords) this.#unnamed.clear();
    return this.#unnamed.has(chunk);
  }

  #metric(number: number): { readonly description: Description } {
    const metric = this.#metrics[number];
    if (metric === undefined) throw new RangeError(`This store has no metric ${number}`);
    return metric;
  }

  #hasRoom(length: number): boolean {
    return this.#slots + length <= this.#capacity;
  }

  /** Takes room at the end. @param record whose room it is; without one, it has no owner yet */
  #take(length: number, record?: Unplaced): number {
    const slot = this.#slots;
    this.#slots += length;
    this.#growTo(this.#slots);
    if (record !== undefined) this.#addRecord({ ...record, slot });
    // Written though they are 0: the file takes the room now, so that a full disk can't refuse a later change.
    if (this.#file !== null) {
      this.#changed.markAll(slot, this.#slots);
      this.#queueFlush();
    }
    return slot;
  }

  /** Takes room for a chunk that was kept, see chunk-room.ts. */
  #takeKept(series: number, anywhere: boolean, record: Unplaced): number | null {
    const slot = this.#chunkRoom.take(series, anywhere);
    if (slot === null) return null;
    this.#unnamed.add(slot);
    this.#addRecord({ ...record, slot });
    return slot;
  }

  /** Takes room in memory, beyond the capacity of the file. */
  #takeMemory(length: number): number {
    const slot = this.#capacity + this.#slotsBeyond;
    this.#slotsBeyond += length;
    this.#growTo(slot + length);
    return slot;
  }

  /** Counts each failure, and reports the first of each metric. */
  #tellFull({ name }: Description, length: number, consequence: string): void {
    const isTold = this.#toldFull.has(name);
    this.#toldFull.add(name);
    const enough = 2 ** Math.ceil(Math.log2(this.#slots + this.#slotsBeyond + length));
    const advice = `openStore has a capacity of ${this.#capacity} values, give it ${enough} or more`;
    this.#file?.countRefusal(isTold ? null : new Error(`The store is full: ${name} ${consequence}; ${advice}`));
  }

  /** Marks a value as changed: it is written in this turn of the event loop. */
  touch(slot: number): void {
    if (this.#file === null) return;
    this.#changed.mark(slot);
    this.#queueFlush();
  }

  /** Marks a value as changed that need not be written at once: the next write includes it, or one 50 ms later. */
  touchLazily(slot: number): void {
    if (this.#file === null) return;
    this.#changed.mark(slot);
    if (exiting) this.flush();
    else this.#lazyFlush ??= setTimeout(this.#flushLazily, LAZY_MS).unref();
  }

  /** The counts of the summaries' bins when their windows began, by slot; beyond its end they were 0. */
  get before(): Float64Array {
    return this.#summarySlots.windows.before;
  }

  /** Lets the windows of the summaries slide; happens by itself once a second. */
  slide(): void {
    this.#summarySlots.windows.advance(performance.now(), this.#values);
  }

  /** Writes all changes now, instead of in a microtask of this turn. Call it before a synchronous answer. */
  flush(): void {
    this.#queued = false;
    if (this.#file === null || (this.#changed.isEmpty && !this.#directoryChanged)) return;
    this.#file.write(this.#bytes, this.#changed, this.#slots);
    this.#directoryChanged = false;
  }

  /** Writes everything again, with the exemplars. Happens by itself once a second. */
  rewrite(): void {
    if (this.#file === null) return;
    this.writeExemplars();
    this.#file.rewrite(this.#bytes, this.#slots);
  }

  /** Writes everything and lets go of the file. The primary adds it to its sums and removes it. */
  close(): void {
    clearInterval(this.#tick);
    clearTimeout(this.#lazyFlush);
    this.#lazyFlush = undefined;
    this.#file?.close(this.#bytes, this.#slots);
    // They are in the file: a flush that is queued finds nothing.
    this.#changed.clear();
    this.#directoryChanged = false;
    if (openStores.delete(this) && openStores.size === 0) process.off('exit', writeAtExit);
  }

  #addRecord(record: DirectoryRecord): void {
    this.records.push(record);
    if (this.#file === null) return;
    this.#file.append(encodeRecord(record));
    this.#directoryChanged = true;
    this.#queueFlush();
  }

  #queueFlush(): void {
    if (this.#queued) return;
    this.#queued = true;
    if (exiting) this.flush();
    // Cheaper than queueMicrotask(), which makes an AsyncResource.
    else void TURN.then(this.#flushTurn);
  }

  #growTo(slots: number): void {
    if (slots <= this.#values.length) return;
    const length = Math.max(2 * this.#values.length, 2 ** Math.ceil(Math.log2(slots)));
    const values = copyTo(this.#values, length);
    this.#values = values;
    this.#bytes = new Uint8Array(values.buffer);
    this.#rests = copyTo(this.#rests, length);
    this.#changed.growTo(length);
  }
}

/** For a store without a file, which has no heartbeat. Ends when the store is collected as garbage. */
function slideRegularly(store: Store): NodeJS.Timeout {
  const reference = new WeakRef(store);
  const tick = setInterval(() => {
    const store = reference.deref();
    if (store === undefined) clearInterval(tick);
    else store.slide();
  }, TICK_MS).unref();
  return tick;
}
