import { readdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { parseStoreFileName, type StoreName } from '../store/layout.ts';
import { Problems, type Report, type StoreProblem } from '../store/problems.ts';
import { isRunning, pidExists, sharedClockMs } from '../store/process-identity.ts';
import type { Store } from '../store/store.ts';
import { giveFolder, type Owner } from '../store/store-directory.ts';
import type { View } from './exposition.ts';
import { SeriesIndex } from './series-index.ts';
import { SlotMapping } from './slot-mapping.ts';
import { WorkerFile } from './worker-file.ts';

/** A living worker. */
export interface LiveWorker {
  /** Its place number. */
  readonly worker: string;
  readonly pid: number;
  /** Seconds since it last came round its event loop; up to 1 when all is well. */
  readonly ageSeconds: number;
}

/** A store of the primary's own, in memory. */
interface OwnStore {
  readonly store: Store;
  readonly mapping: SlotMapping;
  /** Records of its directory that the mapping has taken. */
  records: number;
  /** Its values at the last reading. */
  last: Float64Array;
}

const byPlace = new Intl.Collator('en', { numeric: true });

const YOUNG_SUFFIX = '.new';

/** This process, the machine or its memory has no room for another open file just now (open(2)): the next look may have. */
const NO_ROOM = new Set(['EMFILE', 'ENFILE', 'ENOMEM']);

/** The store files of one instance: reads them, merges them, and removes those whose worker has died. */
export class ClusterStores {
  readonly #directory: string;
  readonly #problems: Problems;
  readonly #index = new SeriesIndex();
  readonly #files = new Map<string, WorkerFile>();
  /** Files of the dead that could not be removed: they must not be counted again. */
  readonly #folded = new Set<string>();
  /** Files that could not be opened yet: when the folder was last listed without them, by `performance.now`. */
  readonly #unopened = new Map<string, number>();
  /** When the folder was last listed: a file that is new in the next list is younger. */
  #listedAtMs = performance.now();
  readonly #own = new Map<Store, OwnStore>();

  /** @param asBase of the stores that are there already, adds only what is counted from now on */
  constructor(directory: string, onProblem: (problem: StoreProblem) => void, asBase: boolean) {
    this.#directory = directory;
    this.#problems = new Problems(onProblem);
    if (asBase) this.#scan(true);
  }

  /**
   * Reads every worker's store, those of the dead for the last time.
   *
   * @param thorough also notices a dead worker whose pid belongs to another process by now
   */
  read(thorough: boolean): void {
    this.#scan();
    const gone: [path: string, file: WorkerFile][] = [];
    for (const [path, file] of this.#files) {
      const { thread, startTime } = file.name;
      // Asked before the last reading, so that it has everything.
      const isDead = thorough ? !isRunning(thread, startTime) : !pidExists(thread);
      file.read();
      if (isDead || file.isClosed) gone.push([path, file]);
    }
    // After all readings: of two that died since the last look, the order of the deaths is not known.
    for (const [path, file] of gone) this.#letGo(path, file);
    for (const { mapping } of this.#files.values()) mapping.settleRemovals();
  }

  /** Everything that has been read, also what died since, with this process' own stores. */
  merge(own: readonly Store[]): View {
    const nowMs = performance.now();
    const stores = own.map((store) => this.#readOwn(store));
    this.#index.settleShapes();
    this.#index.clearGauges();
    const { values, rests } = this.#index;
    for (const file of this.#files.values()) {
      file.mapping.mergeGauges(values, rests, file.values, false);
      file.mapping.slots.windows.advance(nowMs, file.values);
    }
    for (const { mapping, store } of stores) mapping.mergeGauges(values, rests, store.values, true);
    this.#index.slots.windows.advance(nowMs, values);
    const { before } = this.#index.slots.windows;
    return { families: this.#index.families(), values, before, has: ({ isRemoved }) => !isRemoved };
  }

  /** Merges a store of this process' own once more, whose gauges no other process has: they have changed since `merge`. */
  remergeGauges(own: Store): void {
    const { mapping } = this.#readOwn(own);
    const { values, rests } = this.#index;
    mapping.clearGauges(values, rests);
    mapping.mergeGauges(values, rests, own.values, true);
  }

  /**
   * One place's living process, without its predecessors.
   *
   * @returns `null` when nobody lives there
   */
  alone(worker: string): View | null {
    const files = [...this.#files.values()].filter((file) => file.name.worker === worker);
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
    return { families, values, before, has };
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
      .filter((file) => file.heartbeatMs > 0)
      .map(({ name, heartbeatMs }) => ({
        worker: name.worker,
        pid: name.pid,
        ageSeconds: Math.max(0, now - heartbeatMs) / 1000,
      }))
      .sort((a, b) => byPlace.compare(a.worker, b.worker));
  }

  /** Reads what a dead process has left, and removes its files. */
  fold(pid: number): void {
    this.#scan();
    for (const [path, file] of this.#files) if (file.name.pid === pid) this.#fold(path, file);
  }

  close(): void {
    for (const file of this.#files.values()) file.close();
    this.#files.clear();
  }

  /** Opens what is new in the folder. @param asBase see `WorkerFile.read` */
  #scan(asBase = false): void {
    const sinceMs = this.#listedAtMs;
    const names = this.#list();
    if (names === null) return;
    const listed = new Set(names.map((name) => join(this.#directory, name)));
    for (const path of listed) if (!this.#files.has(path) && !this.#folded.has(path)) this.#meet(path, sinceMs, asBase);
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

  /** @returns `null` when there is no telling what is in the folder */
  #list(): string[] | null {
    const nowMs = performance.now();
    try {
      const names = readdirSync(this.#directory);
      this.#listedAtMs = nowMs;
      return names;
    } catch (error) {
      this.#problems.report({ kind: 'unreadable', file: this.#directory, message: (error as Error).message });
      return hasNoRoom(error) ? null : [];
    }
  }

  /** @param sinceMs when the folder was listed without the file */
  #meet(path: string, sinceMs: number, asBase: boolean): void {
    const fileName = path.slice(this.#directory.length + 1);
    const young = fileName.endsWith(YOUNG_SUFFIX);
    const name = parseStoreFileName(young ? fileName.slice(0, -YOUNG_SUFFIX.length) : fileName);
    if (name === null) {
      this.#problems.report({ kind: 'foreign', file: path, message: 'its name is no name of a store' });
    } else if (!young) {
      this.#open(path, name, this.#unopened.get(path) ?? sinceMs, asBase);
    } else if (!isRunning(name.thread, name.startTime)) {
      this.#remove(path);
    }
  }

  #open(path: string, name: StoreName, sinceMs: number, asBase: boolean): void {
    this.#unopened.set(path, sinceMs);
    try {
      const file = new WorkerFile(path, name, this.#index, this.#reportFor(path), sinceMs);
      this.#files.set(path, file);
      this.#unopened.delete(path);
      // A first reading, so that whatever happens to the file next, its values are known.
      file.read(asBase);
    } catch (error) {
      this.#problems.report({ kind: 'unreadable', file: path, message: (error as Error).message });
      if (!hasNoRoom(error) && !isRunning(name.thread, name.startTime)) this.#remove(path);
    }
  }

  #reportFor(path: string): Report {
    return (kind, message, metric) =>
      this.#problems.report({ kind, file: path, message, ...(metric !== undefined && { metric }) });
  }

  /** The last reading adds the last growth; then nothing is left to do. */
  #fold(path: string, file: WorkerFile): void {
    file.read();
    this.#letGo(path, file);
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
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
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
    for (const record of store.records.slice(own.records)) own.mapping.add(record, store.values.length);
    own.records = store.records.length;
    const now = store.values.slice();
    const last = new Float64Array(now.length);
    last.set(own.last);
    own.mapping.addGrowth(now, last, 0, false);
    own.mapping.readRemovals(now);
    own.last = now;
    return own;
  }
}

function hasNoRoom(error: unknown): boolean {
  return NO_ROOM.has((error as NodeJS.ErrnoException).code ?? '');
}
