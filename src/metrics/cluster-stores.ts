import { readdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { Catalogue } from './catalogue.ts';
import type { View } from './exposition.ts';
import { parseStoreFileName, type StoreName } from './layout.ts';
import { Problems, type StoreProblem } from './problems.ts';
import { isRunning, pidExists } from './process-identity.ts';
import { SLOT } from './slot-table.ts';
import { Source } from './source.ts';
import type { Store } from './store.ts';
import { WorkerFile } from './worker-file.ts';

/** A living worker. */
export interface WorkerState {
  /** Its place number. */
  readonly worker: string;
  readonly pid: number;
  /** Seconds since it last came round its event loop; up to 1 when all is well. */
  readonly ageSeconds: number;
}

/** Adding the same numbers in another order changes the last bits of a sum; this much is no true decrease. */
const ROUNDING = 1e-9;

const byPlace = new Intl.Collator('en', { numeric: true });

const YOUNG_SUFFIX = '.new';

/** The store files of one instance: reads them, merges them, and keeps the sums of those whose worker has died. */
export class ClusterStores {
  readonly #directory: string;
  readonly #problems: Problems;
  readonly #catalogue = new Catalogue();
  readonly #files = new Map<string, WorkerFile>();
  /** Files that were added to the sums but could not be removed. */
  readonly #folded = new Set<string>();
  readonly #own = new Map<Store, { source: Source; records: number }>();
  /** Totals of all dead workers. */
  #retained = new Float64Array(0);
  /** What was served last. */
  #merged = new Float64Array(0);

  constructor(directory: string, onProblem: (problem: StoreProblem) => void) {
    this.#directory = directory;
    this.#problems = new Problems(onProblem);
  }

  /**
   * Reads every worker's store, and adds those of the dead to the sums.
   *
   * @param thorough also notices a dead worker whose pid belongs to another process by now
   */
  read(thorough: boolean): void {
    this.#scan();
    for (const [path, file] of this.#files) {
      const { pid, startTime } = file.name;
      if (thorough ? !isRunning(pid, startTime) : !pidExists(pid)) this.#fold(path, file);
      else file.read();
    }
  }

  /** Everything that has been read, with what died before and with this process' own stores. */
  merge(own: readonly Store[]): View {
    const nowMs = performance.now();
    const files = [...this.#files.values()].map(({ source, values }) => ({ source, values }));
    for (const { source, values } of files) source.slots.windows.advance(nowMs, values);
    const stores = own.map((store) => ({ source: this.#sourceOf(store), values: store.values }));

    const merged = new Float64Array(this.#catalogue.slotsInUse);
    merged.set(this.#retained);
    for (const { source, values } of [...files, ...stores]) source.addTotals(merged, values);
    this.#neverGoBack(merged);
    for (const { source, values } of files) source.mergeGauges(merged, values, false);
    for (const { source, values } of stores) source.mergeGauges(merged, values, true);
    this.#catalogue.slots.windows.advance(nowMs, merged);
    this.#merged = merged;
    return {
      families: [...this.#catalogue.families.values()],
      values: merged,
      before: this.#catalogue.slots.windows.before,
      has: () => true,
    };
  }

  /**
   * One place's living process, without its predecessors.
   *
   * @returns `null` when nobody lives there
   */
  alone(worker: string): View | null {
    const files = [...this.#files.values()].filter((file) => file.name.worker === worker);
    if (files.length === 0) return null;
    const values = new Float64Array(this.#catalogue.slotsInUse);
    const before = new Float64Array(this.#catalogue.slotsInUse);
    for (const { source, values: own } of files) {
      source.addTotals(values, own);
      source.mergeGauges(values, own, true);
      source.addTotals(before, source.slots.windows.before);
    }
    const has = (series: Parameters<View['has']>[0]) => files.some(({ source }) => source.series.has(series));
    return { families: [...this.#catalogue.families.values()], values, before, has };
  }

  /** The living workers, by place. */
  workers(): WorkerState[] {
    const now = Date.now();
    return [...this.#files.values()]
      .filter((file) => file.heartbeatMs > 0)
      .map(({ name, heartbeatMs }) => ({
        worker: name.worker,
        pid: name.pid,
        ageSeconds: Math.max(0, now - heartbeatMs) / 1000,
      }))
      .sort((a, b) => byPlace.compare(a.worker, b.worker));
  }

  /** Adds what a dead process left to the sums, and removes its files. */
  fold(pid: number): void {
    this.#scan();
    for (const [path, file] of this.#files) if (file.name.pid === pid) this.#fold(path, file);
  }

  close(): void {
    for (const file of this.#files.values()) file.close();
    this.#files.clear();
  }

  /** Opens what is new in the folder. */
  #scan(): void {
    const listed = new Set(this.#list().map((name) => join(this.#directory, name)));
    for (const path of listed) if (!this.#files.has(path) && !this.#folded.has(path)) this.#meet(path);
    for (const path of this.#files.keys()) {
      if (!listed.has(path)) {
        this.#problems.report({ kind: 'vanished', file: path, message: 'removed while its worker lives' });
      }
    }
    for (const path of this.#folded) if (!listed.has(path)) this.#folded.delete(path);
    this.#problems.keepOnly((path) => listed.has(path) || this.#files.has(path) || path === this.#directory);
  }

  #list(): string[] {
    try {
      return readdirSync(this.#directory);
    } catch (error) {
      this.#problems.report({ kind: 'unreadable', file: this.#directory, message: (error as Error).message });
      return [];
    }
  }

  #meet(path: string): void {
    const fileName = path.slice(this.#directory.length + 1);
    const young = fileName.endsWith(YOUNG_SUFFIX);
    const name = parseStoreFileName(young ? fileName.slice(0, -YOUNG_SUFFIX.length) : fileName);
    if (name === null) {
      this.#problems.report({ kind: 'foreign', file: path, message: 'its name is no name of a store' });
    } else if (!young) {
      this.#open(path, name);
    } else if (!isRunning(name.pid, name.startTime)) {
      this.#remove(path);
    }
  }

  #open(path: string, name: StoreName): void {
    try {
      const file = new WorkerFile(path, name, this.#catalogue, (kind, message) =>
        this.#problems.report({ kind, file: path, message }),
      );
      this.#files.set(path, file);
      // A first reading, so that whatever happens to the file next, its values are known.
      file.read();
    } catch (error) {
      this.#problems.report({ kind: 'unreadable', file: path, message: (error as Error).message });
      if (!isRunning(name.pid, name.startTime)) this.#remove(path);
    }
  }

  #fold(path: string, file: WorkerFile): void {
    file.read();
    this.#retained = withRoomFor(this.#retained, this.#catalogue.slotsInUse);
    file.source.addTotals(this.#retained, file.values);
    file.close();
    this.#files.delete(path);
    this.#remove(path);
  }

  #remove(path: string): void {
    try {
      unlinkSync(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      // Still there: it must not be counted again.
      this.#folded.add(path);
      this.#problems.report({ kind: 'unreadable', file: path, message: (error as Error).message });
    }
  }

  #sourceOf(store: Store): Source {
    let own = this.#own.get(store);
    if (own === undefined) {
      own = { source: new Source(this.#catalogue), records: 0 };
      this.#own.set(store, own);
    }
    for (; own.records < store.records.length; own.records++) {
      const record = store.records[own.records];
      const problem = record && own.source.add(record, store.values.length);
      if (problem) this.#problems.report({ kind: 'conflict', file: this.#directory, message: problem });
    }
    return own.source;
  }

  #neverGoBack(merged: Float64Array): void {
    const { kinds } = this.#catalogue.slots;
    for (let slot = 0; slot < this.#merged.length; slot++) {
      const served = this.#merged[slot] as number;
      const value = merged[slot] as number;
      if (value >= served || kinds[slot] === SLOT.free) continue;
      if (kinds[slot] === SLOT.count || served - value <= ROUNDING * Math.abs(served)) merged[slot] = served;
    }
  }
}

function withRoomFor(values: Float64Array<ArrayBuffer>, length: number): Float64Array<ArrayBuffer> {
  if (values.length >= length) return values;
  const grown = new Float64Array(length);
  grown.set(values);
  return grown;
}
