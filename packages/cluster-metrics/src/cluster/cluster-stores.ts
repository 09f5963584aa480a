import { readdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { parseStoreFileName, type StoreName } from '../store/layout.ts';
import { Problems, type Report, type StoreProblem } from '../store/problems.ts';
import { isRunning, pidExists, sharedClockMs, startTimeOf } from '../store/process-identity.ts';
import type { Store } from '../store/store.ts';
import { giveFolder, type Owner } from '../store/store-directory.ts';
import { newestExemplars } from './exemplars.ts';
import type { View } from './exposition.ts';
import { SeriesIndex } from './series-index.ts';
import { SlotMapping } from './slot-mapping.ts';
import type { LiveWorker } from './types.ts';
import { WorkerFile } from './worker-file.ts';

/** A store of the primary itself, in memory. */
interface OwnStore {
  readonly store: Store;
  readonly mapping: SlotMapping;
  /** Number of records of its directory that the mapping has read. */
  records: number;
  /** Its values at the last reading. */
  last: Float64Array;
}

const byPlace = new Intl.Collator('en', { numeric: true });

const YOUNG_SUFFIX = '.new';

/** open(2): no room for another open file now, in this process or the machine. Tried again at the next reading. */
const NO_ROOM = new Set(['EMFILE', 'ENFILE', 'ENOMEM']);

/** There is no folder, and so no file in it. */
const MISSING = new Set(['ENOENT', 'ENOTDIR']);

/** The store files of one instance. Reads and merges them, and removes those of dead workers. */
export class ClusterStores {
  readonly #directory: string;
  readonly #problems: Problems;
  readonly #index: SeriesIndex;
  readonly #files = new Map<string, WorkerFile>();
  /** Files of dead workers that could not be removed, and must not be counted again. */
  readonly #folded = new Set<string>();
  /** Files that could not be opened yet, with the time of the last listing without them, by `performance.now`. */
  readonly #unopened = new Map<string, number>();
  /**
   * Time of the last listing of the folder: a file that is new in the next listing is younger. What the files of the first
   * listing hold may be of any age.
   */
  #listedAtMs = Number.NEGATIVE_INFINITY;
  readonly #asBase: boolean;
  readonly #own = new Map<Store, OwnStore>();
  #isClosed = false;

  /** @param asBase adds only the further growth of the stores that exist now, not what they have counted so far */
  constructor(directory: string, onProblem: (problem: StoreProblem) => void, asBase: boolean) {
    this.#directory = directory;
    this.#problems = new Problems(onProblem);
    this.#asBase = asBase;
    this.#index = new SeriesIndex(asBase ? Date.now() : 0);
    this.#scan();
    // A step of its own: else the counts from now on would be of unknown age too.
    this.#slideWindows();
  }

  /**
   * Reads the store of every worker, and that of a dead worker for the last time. Does nothing after `close`.
   *
   * @param thorough also recognizes a dead worker whose pid belongs to another process now
   */
  read(thorough: boolean): void {
    if (this.#isClosed) return;
    this.#scan();
    this.#readAll([...this.#files], thorough);
    for (const { mapping } of this.#files.values()) mapping.settleRemovals();
  }

  #readAll(files: [path: string, file: WorkerFile][], thorough: boolean): void {
    const gone: [path: string, file: WorkerFile][] = [];
    for (const [path, file] of files) {
      const { thread, startTime } = file.name;
      // Asked before the last reading, so that it has everything.
      const isDead = thorough ? !isRunning(thread, startTime) : !pidExists(thread);
      file.read();
      if (isDead || file.isClosed) gone.push([path, file]);
    }
    // Not before all are read: the order in which two of them died is not known, and may decide about a removed series.
    for (const [path, file] of gone) this.#letGo(path, file);
  }

  /** Merges all that was read, of dead workers too, with the primary's own stores. */
  merge(own: readonly Store[]): View {
    const stores = own.map((store) => this.#readOwn(store));
    this.#index.settle();
    this.#index.clearGauges();
    const { values, rests } = this.#index;
    for (const file of this.#files.values()) file.mapping.mergeGauges(values, rests, file.values, false);
    for (const { mapping, store } of stores) mapping.mergeGauges(values, rests, store.values, true);
    this.#slideWindows();
    const { before } = this.#index.slots.windows;
    const exemplarsOf = newestExemplars(() => [
      ...this.#files.values(),
      ...stores.map(({ mapping, last }) => ({ mapping, values: last })),
    ]);
    const families = this.#index.families();
    return { isWhole: true, families, values, before, exemplarsOf, has: ({ isRemoved }) => !isRemoved };
  }

  /** Merges the gauges of one of the primary's stores again, as they have changed since `merge`. No other store has them. */
  remergeGauges(own: Store): void {
    const { mapping } = this.#readOwn(own);
    const { values, rests } = this.#index;
    mapping.clearGauges(values, rests);
    mapping.mergeGauges(values, rests, own.values, true);
  }

  /**
   * The living process at one place, without its predecessors. Its threads and further stores at the place add up.
   *
   * @returns `null` when there is none
   */
  alone(worker: string): View | null {
    const files = this.#youngestAt(worker);
    if (files.length === 0) return null;
    const values = new Float64Array(this.#index.values.length);
    const rests = new Float64Array(this.#index.values.length);
    const before = new Float64Array(this.#index.values.length);
    for (const { mapping, values: own } of files) {
      mapping.addTotals(values, own);
      mapping.mergeGauges(values, rests, own, true);
      mapping.addTotals(before, mapping.slots.windows.before);
    }
    const has = (series: Parameters<View['has']>[0]) => files.some(({ mapping }) => mapping.holds(series));
    const families = this.#index.families((family) => files.some(({ mapping }) => mapping.has(family)));
    return { isWhole: false, families, values, before, exemplarsOf: newestExemplars(() => files), has };
  }

  /** The files of the process at this place that started last: while it takes over, its predecessor may still live. */
  #youngestAt(worker: string): WorkerFile[] {
    const files = [...this.#files.values()].filter(({ name, isKnown }) => isKnown && name.worker === worker);
    let youngest: number | undefined;
    let latest = 0;
    for (const { name } of files) {
      const startTime = processStartOf(name);
      if (startTime < latest) continue;
      [youngest, latest] = [name.pid, startTime];
    }
    return files.filter(({ name }) => name.pid === youngest);
  }

  /** Lets workers that run as another user write into the folder. */
  giveTo(owner: Owner): void {
    try {
      giveFolder(this.#directory, owner);
    } catch (error) {
      const message = `the workers' user can't be given the folder: ${(error as Error).message}`;
      this.#problems.report({ kind: 'unwritable', file: this.#directory, message });
    }
  }

  /** The living workers, by place. */
  workers(): LiveWorker[] {
    const now = sharedClockMs();
    return [...this.#files.values()]
      .filter((file) => file.isKnown)
      .map(({ name, heartbeatMs }) => ({
        worker: name.worker,
        pid: name.pid,
        ageSeconds: Math.max(0, now - heartbeatMs) / 1000,
      }))
      .sort((a, b) => byPlace.compare(a.worker, b.worker));
  }

  /** Reads the stores of a process. When it is dead, this is the last time, and their files are removed. */
  fold(pid: number): void {
    if (this.#isClosed) return;
    this.#scan();
    this.#readAll(
      [...this.#files].filter(([, { name }]) => name.pid === pid),
      true,
    );
  }

  /** Closes the files. The last reading is still shown. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const file of this.#files.values()) file.close();
  }

  /** Lets the windows of the summaries slide: those of each process, and those of all together. */
  #slideWindows(): void {
    const nowMs = performance.now();
    for (const { mapping, values } of this.#files.values()) mapping.slots.windows.advance(nowMs, values);
    this.#index.slots.windows.advance(nowMs, this.#index.values);
  }

  /** Opens the new files in the folder. */
  #scan(): void {
    const sinceMs = this.#listedAtMs;
    const names = this.#list();
    if (names === null) return;
    const listed = new Set(names.map((name) => join(this.#directory, name)));
    for (const path of listed) if (!this.#files.has(path) && !this.#folded.has(path)) this.#meet(path, sinceMs);
    for (const path of this.#files.keys()) {
      if (!listed.has(path)) {
        this.#problems.report({ kind: 'vanished', file: path, message: 'removed while its worker lives' });
      }
    }
    for (const paths of [this.#folded, this.#unopened]) {
      for (const path of paths.keys()) if (!listed.has(path)) paths.delete(path);
    }
    this.#problems.keepOnly((path) => listed.has(path) || this.#files.has(path) || path === this.#directory);
  }

  /** @returns `null` when the folder can't be listed now, and nothing is known about its files */
  #list(): string[] | null {
    const nowMs = performance.now();
    let names: string[] = [];
    try {
      names = readdirSync(this.#directory);
    } catch (error) {
      this.#problems.report({ kind: 'unreadable', file: this.#directory, message: (error as Error).message });
      if (!MISSING.has(codeOf(error))) return null;
    }
    this.#listedAtMs = nowMs;
    return names;
  }

  /** @param sinceMs time of the last listing without the file */
  #meet(path: string, sinceMs: number): void {
    const fileName = path.slice(this.#directory.length + 1);
    const young = fileName.endsWith(YOUNG_SUFFIX);
    const name = parseStoreFileName(young ? fileName.slice(0, -YOUNG_SUFFIX.length) : fileName);
    if (name === null) {
      this.#problems.report({ kind: 'foreign', file: path, message: 'its name is no name of a store' });
    } else if (!young) {
      this.#open(path, name, this.#unopened.get(path) ?? sinceMs);
    } else if (!isRunning(name.thread, name.startTime)) {
      this.#remove(path);
    }
  }

  #open(path: string, name: StoreName, sinceMs: number): void {
    this.#unopened.set(path, sinceMs);
    const isBase = this.#asBase && sinceMs === Number.NEGATIVE_INFINITY;
    try {
      const file = new WorkerFile(path, name, this.#index, this.#reportFor(path), sinceMs, isBase);
      this.#files.set(path, file);
      this.#unopened.delete(path);
      // Read it at once: then its values are known, even if the file is damaged or removed next.
      file.read();
    } catch (error) {
      this.#problems.report({ kind: 'unreadable', file: path, message: (error as Error).message });
      if (!NO_ROOM.has(codeOf(error)) && !isRunning(name.thread, name.startTime)) this.#remove(path);
    }
  }

  #reportFor(path: string): Report {
    return (kind, message, metric) =>
      this.#problems.report({ kind, file: path, message, ...(metric !== undefined && { metric }) });
  }

  #letGo(path: string, file: WorkerFile): void {
    file.mapping.release();
    file.close();
    this.#files.delete(path);
    this.#remove(path);
  }

  #remove(path: string): void {
    try {
      unlinkSync(path);
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return;
      this.#folded.add(path);
      this.#problems.report({ kind: 'unreadable', file: path, message: (error as Error).message });
    }
  }

  #readOwn(store: Store): OwnStore {
    let own = this.#own.get(store);
    if (own === undefined) {
      const mapping = new SlotMapping(this.#index, true, this.#reportFor(this.#directory));
      own = { store, mapping, records: 0, last: new Float64Array(0) };
      this.#own.set(store, own);
    }
    store.writeExemplars();
    for (const record of store.records.slice(own.records)) own.mapping.add(record, store.values.length);
    own.records = store.records.length;
    const now = store.values.slice();
    const last = new Float64Array(now.length);
    last.set(own.last);
    own.mapping.addGrowth(own.mapping.changed(now, last, 0), now, last, 0, false, 0);
    own.mapping.readRemovals(now);
    own.last = now;
    return own;
  }
}

/** @returns 0 when it is unknown, or the process of a thread is dead */
function processStartOf({ pid, thread, startTime }: StoreName): number {
  return thread === pid ? startTime : startTimeOf(pid);
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? '';
}
