/**
 * Exponential bins of Prometheus' native histograms, of schema 6: 64 bins from each power of two to the next, each
 * wider than the one before it by the factor b = 2^(1/64) = 1.0109.
 *
 * The bin with index i holds the magnitudes above b^(i-1) up to b^i. Its middle, 2·b^i/(b+1), is off by at most
 * (b-1)/(b+1) = 0.54 %, as DDSketch proves (Masson et al., VLDB 2019). Every double has a bin, so there is no range to
 * configure. Bins are stored in chunks of 64, one for each power of two and sign, which are made when they are first
 * needed: a typical latency takes 4 to 11 chunks of 512 bytes.
 *
 * https://prometheus.io/docs/specs/native_histograms/#schema
 */
export const SCHEMA = 6;

/** Bins in a chunk: those from one power of two to the next. */
export const CHUNK_BINS = 2 ** SCHEMA;

const RATIO = 2 ** (1 / CHUNK_BINS);

/** The upper bounds of the bins below 1, by index - 1, and those of a chunk from 1 to 2: 1, b, b²… */
const BOUNDS = Float64Array.from({ length: CHUNK_BINS + 1 }, (_, i) => 2 ** (i / CHUNK_BINS));

/** A double's exponent has this bias (IEEE 754-2019, 3.4). */
const EXPONENT_BIAS = 1023;
/** Added to exponents, so that no chunk number is negative: the smallest double, 2^-1074, lies in chunk 12. */
const SUBNORMAL_ROOM = 64;
/** The chunk of the values above 1 up to 2. */
const CHUNK_OF_ONE = EXPONENT_BIAS + SUBNORMAL_ROOM;
/** The chunk of infinity, above those of all finite numbers. */
const MAX_CHUNK = 2047 + SUBNORMAL_ROOM;

/** The first bits of a fraction tell its bin but for one bound: these are how many bounds lie below all such fractions. */
const GUESS_BITS = 8;
const GUESSES = Uint8Array.from(
  { length: 1 << GUESS_BITS },
  (_, bits) => BOUNDS.filter((bound) => bound < 1 + bits / (1 << GUESS_BITS)).length,
);

/** To read the exponent and the fraction of a double. */
const double = new Float64Array(1);
const words = new Uint32Array(double.buffer);
const HIGH_WORD = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1 ? 1 : 0;
const FRACTION_BITS = 20;
const FRACTION_MASK = (1 << FRACTION_BITS) - 1;
const EXPONENT_MASK = 0x7ff;
/** By exponent: scales a double to at least 1 and below 2, exactly. */
const SCALES = Float64Array.from({ length: EXPONENT_MASK }, (_, exponent) => 2 ** (EXPONENT_BIAS - exponent));

/**
 * The number of a value's bin. Numbers sort as values do: that of a negative value is the bitwise complement of its
 * magnitude's. The infinities have bins of their own beyond all others, as in client_golang.
 *
 * Reads the bits of the double instead of its logarithm: faster, and exact at each power of two.
 *
 * @param value neither 0 nor NaN
 */
export function binOf(value: number): number {
  double[0] = value;
  const high = words[HIGH_WORD] as number;
  const exponent = (high >>> FRACTION_BITS) & EXPONENT_MASK;
  let bin: number;
  if (exponent === 0) {
    bin = binOf(Math.abs(value) * 2 ** SUBNORMAL_ROOM) - SUBNORMAL_ROOM * CHUNK_BINS;
  } else if (exponent === EXPONENT_MASK) {
    bin = MAX_CHUNK * CHUNK_BINS;
  } else {
    const fraction = Math.abs(value) * (SCALES[exponent] as number);
    const below = GUESSES[(high & FRACTION_MASK) >>> (FRACTION_BITS - GUESS_BITS)] as number;
    // A power of two is the last of the chunk below it.
    const place = fraction > (BOUNDS[below] as number) ? below : below - 1;
    bin = (exponent + SUBNORMAL_ROOM) * CHUNK_BINS + place;
  }
  return value < 0 ? ~bin : bin;
}

/** The chunk that stores a bin, at `placeOf(bin)`: below 0 for negative values. */
export function chunkOf(bin: number): number {
  return bin >> SCHEMA;
}

export function placeOf(bin: number): number {
  return bin & (CHUNK_BINS - 1);
}

export function isChunk(chunk: unknown): chunk is number {
  return Number.isInteger(chunk) && (chunk as number) <= MAX_CHUNK && (chunk as number) >= ~MAX_CHUNK;
}

/** The index i of a bin among those of its sign, in schema 6: the greatest magnitude in it is b^i. */
export function schemaIndex(bin: number): number {
  return (bin < 0 ? ~bin : bin) + 1 - CHUNK_OF_ONE * CHUNK_BINS;
}

/** The place of the zeros among the bins. */
export const BIN_OF_ZERO = -0.5;

/** The value that stands for all values of a bin. */
function middle(bin: number): number {
  if (bin === BIN_OF_ZERO) return 0;
  const magnitude = Math.min((2 / (RATIO + 1)) * 2 ** (schemaIndex(bin) / CHUNK_BINS), Number.MAX_VALUE);
  return bin < 0 ? -magnitude : magnitude;
}

/** Counts of one series. */
export interface BinnedCounts {
  /** First slot by chunk number. */
  readonly chunks: ReadonlyMap<number, number>;
  /** Counts the observations of exactly 0. */
  readonly zeroSlot: number;
  /** By slot. */
  readonly values: Float64Array;
}

/** The number of all observations. */
export function totalCount({ chunks, zeroSlot, values }: BinnedCounts): number {
  let count = values[zeroSlot] as number;
  for (const first of chunks.values()) {
    for (let slot = first; slot < first + CHUNK_BINS; slot++) count += values[slot] as number;
  }
  return count;
}

/**
 * Quantiles by nearest rank: the smallest observation that at least `q` of all observations do not exceed.
 *
 * @param before counts that are subtracted, by slot; those beyond the end of the array are 0
 * @param quantiles each from 0 to 1
 * @returns one value each, within 0.54 % of the exact one; NaN without observations
 */
export function quantilesOf(
  { chunks, zeroSlot, values }: BinnedCounts,
  before: Float64Array,
  quantiles: readonly number[],
): number[] {
  const bins: number[] = [];
  const counts: number[] = [];
  let total = 0;
  const add = (bin: number, count: number) => {
    if (count <= 0) return;
    bins.push(bin);
    counts.push(count);
    total += count;
  };
  const countAt = (slot: number) => (values[slot] as number) - (slot < before.length ? (before[slot] as number) : 0);
  let isBelowZero = true;
  for (const [chunk, first] of [...chunks].sort(([a], [b]) => a - b)) {
    if (chunk >= 0 && isBelowZero) {
      add(BIN_OF_ZERO, countAt(zeroSlot));
      isBelowZero = false;
    }
    for (let place = 0; place < CHUNK_BINS; place++) add(chunk * CHUNK_BINS + place, countAt(first + place));
  }
  if (isBelowZero) add(BIN_OF_ZERO, countAt(zeroSlot));

  return quantiles.map((quantile) => {
    const rank = Math.max(1, Math.ceil(quantile * total));
    let seen = 0;
    for (let i = 0; i < bins.length; i++) {
      seen += counts[i] as number;
      if (seen >= rank) return middle(bins[i] as number);
    }
    return Number.NaN;
  });
}
