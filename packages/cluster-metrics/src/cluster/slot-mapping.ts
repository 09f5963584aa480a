import type {
  Aggregator,
  Description,
  DirectoryRecord,
  ExemplarRecord,
  RemovalRecord,
  SeriesRecord,
} from '../store/description.ts';
import { slotsOf } from '../store/layout.ts';
import type { Report } from '../store/problems.ts';
import { SLOT, SlotTable } from '../store/slot-table.ts';
import { addGrowth, addTo } from '../store/sums.ts';
import { type Family, type Series, type SeriesIndex, settleRemoval } from './series-index.ts';

/** Values that are added one by one: those of a process from slot `from` on to the merged ones from slot `to` on. */
interface Run {
  from: number;
  to: number;
  length: number;
}

/** The values that have changed: their slots in the process' store, and those of the merged values that they are added to. */
interface Changes {
  readonly from: number[];
  readonly to: number[];
}

/** So many values are compared at once. */
const PART = 512;

/** A metric of one process. */
interface Metric {
  readonly description: Description;
  readonly family: Family;
}

/** The slot of the value that says whether the process has removed a series. */
interface Removal {
  readonly from: number;
  readonly series: Series;
  /** As of the last reading. */
  isRemoved: boolean;
}

/** Values of the process that are counts of observations. */
interface Counts {
  readonly first: number;
  readonly length: number;
}

/** Where the process keeps the exemplar of one bucket. */
interface ExemplarPlace {
  readonly from: number;
  readonly length: number;
  readonly series: Series;
  readonly bucket: number;
}

interface GaugeValue {
  readonly from: number;
  readonly to: number;
  readonly family: Family;
}

/** Maps the slots of one process' store to those of the merged values. */
export class SlotMapping {
  /** The kind of each value of the process. */
  readonly slots = new SlotTable();
  readonly #index: SeriesIndex;
  readonly #isOwn: boolean;
  readonly #report: Report;
  readonly #metrics: Metric[] = [];
  readonly #families = new Set<Family>();
  /** How often the process has each series without having removed it. Twice when two of its series get the same labels. */
  readonly #held = new Map<Series, number>();
  readonly #removals: Removal[] = [];
  readonly #runs: Run[] = [];
  readonly #gauges: GaugeValue[] = [];
  /** By the first slot of each series in the process. */
  readonly #seriesAt = new Map<number, Series>();
  /** By the first slot of the series in the process and the bucket. */
  readonly #exemplars = new Map<string, ExemplarPlace>();
  /** The counts of the observations that each sum adds up, by the slot of the sum. */
  readonly #countsOf = new Map<number, Counts[]>();
  /** The same counts by series. */
  readonly #observed = new Map<Series, Counts[]>();
  /** The slots of the sums whose last reading was too low to be believed, and the worker's heartbeat at that time. */
  readonly #doubts = new Map<number, number>();

  /** @param isOwn whether the process is the primary itself */
  constructor(index: SeriesIndex, isOwn: boolean, report: Report) {
    this.#index = index;
    this.#isOwn = isOwn;
    this.#report = report;
  }

  /**
   * Reads a record of the store's directory. Reports a wrong one and leaves it out.
   *
   * @param slotsInUse values that the store has in use
   * @returns the number of values, from the record's slot on, that had no owner before
   */
  add(record: DirectoryRecord, slotsInUse: number): number {
    if (record.kind === 'metric') {
      this.#addMetric(record.description);
      return 0;
    }
    if (record.kind === 'exemplar') {
      this.#addExemplar(record, slotsInUse);
      return 0;
    }
    const metric = this.#metrics[record.metric];
    if (metric === undefined) {
      this.#report('torn', `a series names the unknown metric ${record.metric}`);
      return 0;
    }
    const { description } = metric;
    const length = record.kind === 'removal' ? 1 : slotsOf(description, record.chunk);
    if (record.slot < 0 || record.slot + length > slotsInUse) {
      this.#report('torn', `${description.name} points beyond the values`);
      return 0;
    }
    if (record.kind === 'removal') this.#addRemoval(metric, record);
    else this.#addSeries(metric, record);
    return length;
  }

  /** Where the process keeps its exemplars. */
  get exemplars(): Iterable<ExemplarPlace> {
    return this.#exemplars.values();
  }

  /** Whether the process has the metric in this shape. */
  has(family: Family): boolean {
    return this.#families.has(family);
  }

  /** Whether the process has the series, and has not removed it. */
  holds(series: Series): boolean {
    return (this.#held.get(series) ?? 0) > 0;
  }

  /** Reads which series the process has removed, and which it has counted again. */
  readRemovals(values: Float64Array): void {
    for (const removal of this.#removals) {
      // Any number but 0 and 1 is damage, which the worker repairs within a second.
      const isRemoved = values[removal.from] === 1;
      if (isRemoved === removal.isRemoved) continue;
      removal.isRemoved = isRemoved;
      this.#hold(removal.series, isRemoved ? -1 : 1);
    }
    this.settleRemovals();
  }

  /** Decides again about the series that the process has ever removed, as other processes may have come or gone. */
  settleRemovals(): void {
    for (const { series } of this.#removals) settleRemoval(series);
  }

  /** The process has ended. */
  release(): void {
    for (const { family } of this.#metrics) family.workers--;
    for (const [series, times] of this.#held) {
      if (times > 0) series.holders--;
      else series.removers--;
    }
  }

  /** Counts that the process has a series once more, or once less as it has removed it. */
  #hold(series: Series, change: 1 | -1): void {
    const before = this.#held.get(series);
    const now = (before ?? 0) + change;
    this.#held.set(series, now);
    if (before !== undefined && before > 0 === now > 0) return;
    series.holders += change;
    if (before !== undefined) series.removers -= change;
    settleRemoval(series);
  }

  #addRemoval({ description, family }: Metric, { labels, slot }: RemovalRecord): void {
    const series = this.#index.series(family, description.labelNames, labels);
    this.#removals.push({ from: slot, series, isRemoved: false });
  }

  #addExemplar({ series: first, bucket, slot: from, length }: ExemplarRecord, slotsInUse: number): void {
    const series = this.#seriesAt.get(first);
    if (series === undefined || from < 0 || from + length > slotsInUse) {
      this.#report('torn', 'an exemplar points beyond the values, or at no series');
      return;
    }
    this.#exemplars.set(`${first} ${bucket}`, { from, length, series, bucket });
  }

  #addMetric(description: Description): void {
    const { family, conflict } = this.#index.family(description, this.#isOwn);
    this.#metrics.push({ description, family });
    this.#families.add(family);
    if (conflict !== null) this.#report('conflict', conflict, description.name);
  }

  #addSeries(metric: Metric, { labels, slot: from, startMs, chunk }: SeriesRecord): void {
    const { description, family } = metric;
    const series = this.#index.series(family, description.labelNames, labels, startMs);
    if (chunk === undefined) {
      this.#hold(series, 1);
      this.#seriesAt.set(from, series);
    }
    if (description.type === 'gauge') {
      this.#gauges.push({ from, to: series.slot, family });
      return;
    }
    const to = chunk === undefined ? series.slot : this.#index.chunk(family, series, chunk);
    this.#addRun({ from, to, length: slotsOf(description, chunk) });
    this.slots.add(metric, from, chunk);
    if (description.type !== 'counter') this.#addCounts(series, from, slotsOf(description, chunk), chunk === undefined);
  }

  /** @param beginsWithSum whether the first value is the sum: a chunk of bins has none */
  #addCounts(series: Series, first: number, length: number, beginsWithSum: boolean): void {
    const counts = this.#observed.get(series) ?? [];
    this.#observed.set(series, counts);
    if (beginsWithSum) this.#countsOf.set(first, counts);
    counts.push(beginsWithSum ? { first: first + 1, length: length - 1 } : { first, length });
  }

  /** Most processes declare their series in the same order, so runs are long. Chunks of bins may lie between older runs. */
  #addRun(run: Run): void {
    const at = this.#runAt(run.from);
    const before = this.#runs[at - 1];
    if (before !== undefined && before.from + before.length === run.from && before.to + before.length === run.to) {
      before.length += run.length;
    } else {
      this.#runs.splice(at, 0, run);
    }
  }

  /** The index of the first run that ends behind this slot; the number of runs when there is none. */
  #runAt(slot: number): number {
    let low = 0;
    let high = this.#runs.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const { from, length } = this.#runs[middle] as Run;
      if (from + length > slot) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /**
   * The totals, counts and sums that have changed. Most bins of most series have not, and to compare the bytes of many at
   * once takes a tenth of the time of comparing numbers.
   *
   * @param now values as they were read; the process' slot 0 is at `offset`
   * @param last values as they were added the last time
   */
  changed(now: Float64Array, last: Float64Array, offset: number): Changes {
    const [bytesOfNow, bytesOfLast] = [bytesOf(now), bytesOf(last)];
    const lastRun = this.#runs.at(-1);
    const end = lastRun === undefined ? 0 : lastRun.from + lastRun.length;
    const changes: Changes = { from: [], to: [] };
    for (let part = 0; part < end; part += PART) {
      const next = Math.min(part + PART, end);
      const [firstByte, endByte] = [8 * (offset + part), 8 * (offset + next)];
      if (bytesOfNow.compare(bytesOfLast, firstByte, endByte, firstByte, endByte) !== 0) {
        this.#collectChanges(part, next, now, last, offset, changes);
      }
    }
    return changes;
  }

  /** Collects the changes from slot `first` to before `end`. */
  #collectChanges(
    first: number,
    end: number,
    now: Float64Array,
    last: Float64Array,
    offset: number,
    changes: Changes,
  ): void {
    for (let i = this.#runAt(first); i < this.#runs.length; i++) {
      const { from, to, length } = this.#runs[i] as Run;
      if (from >= end) return;
      const endOfRun = Math.min(from + length, end);
      for (let slot = Math.max(first, from); slot < endOfRun; slot++) {
        if (isSame(now[offset + slot] as number, last[offset + slot] as number)) continue;
        changes.from.push(slot);
        changes.to.push(slot - from + to);
      }
    }
  }

  /**
   * Whether a value has changed in a way in which no writer changes it: a count or total is below its last value, or a
   * value is noise. Then the reading is damaged.
   *
   * @param changed what `changed` found
   * @param now values as they were read; the process' slot 0 is at `offset`
   * @param last values as they were added the last time
   */
  wentBack({ from }: Changes, now: Float64Array, last: Float64Array, offset: number): boolean {
    const { kinds } = this.slots;
    return from.some((slot) => !canFollow(now, last, offset + slot, kinds[slot] as number));
  }

  /**
   * Adds the growth of this process' totals, counts and sums since the last call to the merged values. So nothing needs to
   * be done when the process dies. A value that went back by damage, or may have, adds nothing and gets its last value again.
   *
   * @param changed what `changed` found
   * @param now values as they were read; the process' slot 0 is at `offset`
   * @param last values as they were at the last call
   * @param damaged what `wentBack` said
   * @param heartbeat of the worker: see {@link #isDoubtful}
   */
  addGrowth(
    { from, to }: Changes,
    now: Float64Array,
    last: Float64Array,
    offset: number,
    damaged: boolean,
    heartbeat: number,
  ): void {
    const { values, rests } = this.#index;
    const { kinds } = this.slots;
    for (const sum of this.#doubts.keys()) {
      if ((now[offset + sum] as number) >= (last[offset + sum] as number)) this.#doubts.delete(sum);
    }
    for (let i = 0; i < from.length; i++) {
      const slot = from[i] as number;
      const at = offset + slot;
      const value = now[at] as number;
      const before = last[at] as number;
      if (value < before && this.#isDoubtful(slot, now, last, offset, heartbeat)) {
        now[at] = before;
        continue;
      }
      // A sum may also decrease by observations below zero. In a damaged reading, no decrease is believed.
      if (damaged && (value < before || !canFollow(now, last, at, kinds[slot] as number))) {
        now[at] = before;
        continue;
      }
      addGrowth(values, rests, to[i] as number, before, value);
    }
  }

  /**
   * Whether a lower sum can't be believed yet. An observation below zero lowers a sum, and raises a count with it. A sum
   * that is lower alone is damaged, or was read in the middle of a write. By its next heartbeat the worker has rewritten
   * everything: a sum that is still lower then is true.
   */
  #isDoubtful(sum: number, now: Float64Array, last: Float64Array, offset: number, heartbeat: number): boolean {
    const counts = this.#countsOf.get(sum);
    if (counts === undefined || this.#grew(counts, now, last, offset)) return false;
    const since = this.#doubts.get(sum) ?? heartbeat;
    if (since !== heartbeat) return false;
    this.#doubts.set(sum, heartbeat);
    return true;
  }

  #grew(counts: readonly Counts[], now: Float64Array, last: Float64Array, offset: number): boolean {
    for (const { first, length } of counts) {
      for (let at = offset + first; at < offset + first + length; at++) {
        if ((now[at] as number) > (last[at] as number)) return true;
      }
    }
    return false;
  }

  /** Adds the values of this process to the merged ones. */
  addTotals(merged: Float64Array, values: Float64Array): void {
    for (const { from, to, length } of this.#runs) {
      for (let i = 0; i < length; i++) merged[to + i] = (merged[to + i] as number) + (values[from + i] ?? 0);
    }
  }

  /** Clears this process' gauges among the merged values. @param rests of the merged values */
  clearGauges(merged: Float64Array, rests: Float64Array): void {
    for (const { to } of this.#gauges) {
      merged.fill(0, to, to + 2);
      rests.fill(0, to, to + 2);
    }
  }

  /**
   * Merges this process' gauges by their aggregators. A merged gauge is `[number of processes that know it, value]`. A
   * process that set it to NaN does not know it, and does not count. When no process knows it, it is `[0, NaN]`.
   *
   * @param rests of the merged values, see sums.ts
   * @param withOmitted also merges gauges with the aggregator `omit`, which are shown for one process alone
   */
  mergeGauges(merged: Float64Array, rests: Float64Array, values: Float64Array, withOmitted: boolean): void {
    for (const { from, to, family } of this.#gauges) {
      const { aggregator } = family.description;
      if (values[from] !== 1 || (aggregator === 'omit' && !withOmitted)) continue;
      const value = values[from + 1] as number;
      const isFirst = merged[to] === 0;
      if (Number.isNaN(value)) {
        if (isFirst) merged[to + 1] = value;
        continue;
      }
      merged[to] = (merged[to] as number) + 1;
      if (isFirst) merged[to + 1] = value;
      else mergeInto(merged, rests, to + 1, aggregator, value);
    }
  }
}

/** Merges the value of a further process into a gauge. */
function mergeInto(
  merged: Float64Array,
  rests: Float64Array,
  slot: number,
  aggregator: Aggregator,
  value: number,
): void {
  const before = merged[slot] as number;
  switch (aggregator) {
    case 'min':
      merged[slot] = Math.min(before, value);
      break;
    case 'max':
      merged[slot] = Math.max(before, value);
      break;
    case 'sum':
    case 'average':
      // The average is divided by the number of processes when it is printed.
      addTo(merged, rests, slot, value);
      break;
    case 'first':
    case 'omit':
      break;
  }
}

function bytesOf({ buffer, byteOffset, byteLength }: Float64Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

/** Unlike with `===`, NaN is the same as NaN: a total that has become NaN stays NaN. */
function isSame(a: number, b: number): boolean {
  return a === b || (Number.isNaN(a) && Number.isNaN(b));
}

/**
 * Whether a writer can have made this change. Totals and sums may leave the finite numbers, when a sum overflows or a
 * counter of prom-client's takes NaN, and never come back.
 */
function canFollow(now: Float64Array, last: Float64Array, at: number, kind: number): boolean {
  const value = now[at] as number;
  const before = last[at] as number;
  if (kind === SLOT.count) return value >= before && Number.isFinite(value);
  if (Number.isNaN(value)) return isComputedNaN(now, at);
  return kind === SLOT.sum ? Number.isFinite(before) : value >= before;
}

const SIGN_LESS = 0x7fff_ffff_ffff_ffffn;
const QUIET_NAN = 0x7ff8_0000_0000_0000n;

/** Whether it is the NaN that computing gives, of either sign (IEEE 754-2019, 6.2.1). Noise has other bits too. */
function isComputedNaN(values: Float64Array, at: number): boolean {
  const [bits = 0n] = new BigUint64Array(values.buffer, values.byteOffset + 8 * at, 1);
  return (bits & SIGN_LESS) === QUIET_NAN;
}
