import { checksum, WORD_BYTES } from './layout.ts';

/** One observation that stands for the others of its bucket: its labels lead to more about it, such as a line of a log. */
export interface Exemplar {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
  /** In milliseconds since 1970. */
  readonly timestampMs: number;
}

/** An exemplar and its place in the store. */
export interface KeptExemplar {
  /** The first slot of the series. */
  readonly series: number;
  readonly bucket: number;
  exemplar: Exemplar;
  /** The first of its values, and their number: 0 until it has room. */
  slot: number;
  length: number;
}

/** The newest exemplar of each bucket of each series of one process. */
export class Exemplars {
  /** By the first slot of the series, then by bucket. */
  readonly #kept = new Map<number, KeptExemplar[]>();
  readonly #changed = new Set<KeptExemplar>();

  /** @param series its first slot */
  set(series: number, bucket: number, exemplar: Exemplar): void {
    let ofSeries = this.#kept.get(series);
    if (ofSeries === undefined) {
      ofSeries = [];
      this.#kept.set(series, ofSeries);
    }
    let kept = ofSeries[bucket];
    if (kept === undefined) {
      kept = { series, bucket, exemplar, slot: 0, length: 0 };
      ofSeries[bucket] = kept;
    } else {
      kept.exemplar = exemplar;
    }
    this.#changed.add(kept);
  }

  at(series: number, bucket: number): Exemplar | undefined {
    return this.#kept.get(series)?.[bucket]?.exemplar;
  }

  /** Those that have changed since the last call. */
  takeChanged(): KeptExemplar[] {
    const changed = [...this.#changed];
    this.#changed.clear();
    return changed;
  }
}

/*
 * An exemplar in a store: float64 words, the first of which is the checksum of all others. They are the timestamp, the
 * value, and the labels as JSON in UTF-8, padded with zeros. The checksum finds a reading in the middle of a write.
 */
const TIMESTAMP = 1;
const VALUE = 2;
const TEXT = 3;

const SHORTEST = 16;

/** @param length of the last one at the same place, which is kept where it is enough */
export function encodeExemplar({ labels, value, timestampMs }: Exemplar, length: number): Float64Array {
  const text = Buffer.from(JSON.stringify(labels));
  let words = Math.max(length, SHORTEST);
  while (words < TEXT + text.length / WORD_BYTES) words *= 2;
  const encoded = new Float64Array(words);
  const bytes = new Uint8Array(encoded.buffer);
  encoded[TIMESTAMP] = timestampMs;
  encoded[VALUE] = value;
  bytes.set(text, TEXT * WORD_BYTES);
  encoded[0] = checksum(bytes.subarray(WORD_BYTES));
  return encoded;
}

/** When the exemplar at this slot was observed; 0 without one. */
export function exemplarTime(values: Float64Array, slot: number): number {
  return values[slot + TIMESTAMP] ?? 0;
}

/** @returns `null` when it is damaged, or was read in the middle of a write */
export function decodeExemplar(values: Float64Array, slot: number, length: number): Exemplar | null {
  const bytes = Buffer.from(values.buffer, values.byteOffset + slot * WORD_BYTES, length * WORD_BYTES);
  if (checksum(bytes.subarray(WORD_BYTES)) !== values[slot]) return null;
  const end = bytes.indexOf(0, TEXT * WORD_BYTES);
  try {
    const labels = JSON.parse(bytes.toString('utf8', TEXT * WORD_BYTES, end === -1 ? bytes.length : end));
    return { labels, value: values[slot + VALUE] as number, timestampMs: exemplarTime(values, slot) };
  } catch {
    return null;
  }
}
