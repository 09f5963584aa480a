import { CHUNK_BINS, isChunk } from './bins.ts';
import type { Description, DirectoryRecord, ExemplarRecord, SeriesRecord } from './description.ts';
import { NATIVE_HEAD } from './native-buckets.ts';

/*
 * A store file, native byte order (it never leaves its machine):
 *
 *   0                       header, 8 float64 words, the first of which is the magic
 *   64                      values, `capacity` float64 words
 *   64 + 8·capacity         directory: records, appended, never changed
 *
 * The file is sparse: the gap between the values in use and the directory takes no memory.
 */

/** Format and version: a reader accepts no other. */
const MAGIC = 'promshm2';
/** The magic as the header's first word. */
export const MAGIC_WORD = new Float64Array(new Uint8Array(Buffer.from(MAGIC, 'latin1')).buffer)[0] as number;
export const HEADER_BYTES = 64;
export const WORD_BYTES = 8;

/** Words of the header. */
export const HEADER = {
  magic: 0,
  /** Values that the file has room for. */
  capacity: 1,
  pid: 2,
  /** A random number that the file's name contains too, so that a copy under another name is not counted as a second worker. */
  life: 3,
  /** Values in use. */
  slots: 4,
  /** Complete bytes of the directory. Written after the values that they name. */
  directoryBytes: 5,
  /** When the worker's event loop last ran, by `sharedClockMs`: at least once a second. In the end `CLOSED`. */
  heartbeat: 6,
  /** Number of failed writes, and of series and observations that found no room. */
  failures: 7,
} as const;

/** The heartbeat of a store that its worker has closed. */
export const CLOSED = -1;

/** Values that one store file can hold: 8 MiB of sparse file. */
export const DEFAULT_CAPACITY = 1 << 20;

export function directoryStart(capacity: number): number {
  return HEADER_BYTES + capacity * WORD_BYTES;
}

/**
 * Values of a series, or of one chunk of its bins:
 * counter `[total]`, gauge `[1 if set, value]`, histogram `[sum, count per bucket…, count above all buckets]`,
 * native histogram `[sum, count of zeros, count of NaN, count per bound…]`, summary `[sum, count of zeros]`, and per chunk
 * `[count per bin…]`. Counts are per bucket, not cumulative. See native-buckets.ts for the count of a bound, and
 * exemplars.ts for the words of an exemplar.
 */
export function slotsOf(description: Description, chunk: number | undefined): number {
  if (chunk !== undefined) return CHUNK_BINS;
  const { type, buckets = [], native } = description;
  switch (type) {
    case 'counter':
      return 1;
    case 'gauge':
      return 2;
    case 'histogram':
      return native === undefined ? buckets.length + 2 : buckets.length + NATIVE_HEAD;
    case 'summary':
      return 2;
  }
}

/** Bytes before the text of a record: its length and its checksum, both uint32. */
const RECORD_HEAD = 8;

/** A record as it stands in the directory: length, checksum, JSON in UTF-8, padded to whole words. */
export function encodeRecord(record: DirectoryRecord): Buffer {
  const text = Buffer.from(JSON.stringify(record));
  const bytes = Buffer.alloc(RECORD_HEAD + Math.ceil(text.length / WORD_BYTES) * WORD_BYTES);
  bytes.writeUInt32LE(text.length, 0);
  bytes.writeUInt32LE(checksum(text), 4);
  text.copy(bytes, RECORD_HEAD);
  return bytes;
}

/**
 * Reads the records of a piece of directory.
 *
 * @returns the records up to the first one that is damaged, and the bytes that they take
 */
export function decodeRecords(bytes: Buffer): { records: DirectoryRecord[]; bytesRead: number } {
  const records: DirectoryRecord[] = [];
  let at = 0;
  while (at + RECORD_HEAD <= bytes.length) {
    const end = at + RECORD_HEAD + bytes.readUInt32LE(at);
    if (end > bytes.length) break;
    const text = bytes.subarray(at + RECORD_HEAD, end);
    if (checksum(text) !== bytes.readUInt32LE(at + 4)) break;
    const record = parseRecord(text);
    if (record === null) break;
    records.push(record);
    at += RECORD_HEAD + Math.ceil(text.length / WORD_BYTES) * WORD_BYTES;
  }
  return { records, bytesRead: at };
}

function parseRecord(text: Buffer): DirectoryRecord | null {
  try {
    const record: unknown = JSON.parse(text.toString());
    return isRecord(record) ? record : null;
  } catch {
    return null;
  }
}

/** Checks little: a record with a good checksum comes from a writer of this version. */
function isRecord(value: unknown): value is DirectoryRecord {
  if (typeof value !== 'object' || value === null || !('kind' in value)) return false;
  if (value.kind === 'metric') return 'description' in value;
  if (value.kind === 'exemplar') return isExemplar(value);
  if (!isPlaced(value)) return false;
  return value.kind === 'removal' || (value.kind === 'series' && isSeries(value));
}

function isPlaced(value: { [key in keyof SeriesRecord]?: unknown }): boolean {
  return Number.isInteger(value.slot) && Array.isArray(value.labels);
}

function isExemplar({ series, bucket, slot, length }: { [key in keyof ExemplarRecord]?: unknown }): boolean {
  return [series, bucket, slot, length].every(Number.isInteger);
}

function isSeries(value: { [key in keyof SeriesRecord]?: unknown }): boolean {
  return value.chunk === undefined ? Number.isFinite(value.startMs) : isChunk(value.chunk);
}

/** FNV-1a, 32 bits: finds torn and overwritten records and exemplars. No protection against forgery. */
export function checksum(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

/** The parts of a store file's name. */
export interface StoreName {
  /** Place number of the worker. */
  readonly worker: string;
  readonly pid: number;
  /** The system's number of the thread that opened it. The pid for a main thread, and where the number is unknown. */
  readonly thread: number;
  /** When the thread started, in the system's unit, or 0. Tells the thread from a later one with the same number. */
  readonly startTime: number;
  readonly life: number;
}

export function storeFileName({ worker, pid, thread, startTime, life }: StoreName): string {
  const owner = thread === pid ? pid : `${pid}.${thread}`;
  return `${worker}-${owner}-${startTime}-${life.toString(36)}.store`;
}

/** @returns `null` when it is no name of a store file */
export function parseStoreFileName(name: string): StoreName | null {
  const match = /^(\w{1,64})-(\d{1,10})(?:\.(\d{1,10}))?-(\d{1,15})-([0-9a-z]{1,10})\.store$/.exec(name);
  if (match === null) return null;
  const [, worker = '', pid, thread = pid, startTime, life = ''] = match;
  return {
    worker,
    pid: Number(pid),
    thread: Number(thread),
    startTime: Number(startTime),
    life: Number.parseInt(life, 36),
  };
}
