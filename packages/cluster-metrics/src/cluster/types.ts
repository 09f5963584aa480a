/* What the registry of a cluster gives to its callers: types that import none of its parts. */

/** Label values by name. Labels that are absent are left out. */
export type Labels = Readonly<Record<string, string>>;

/** A living worker. */
export interface LiveWorker {
  /** Its place number. */
  readonly worker: string;
  readonly pid: number;
  /** Seconds since its event loop last ran: at most 1 when all is well. */
  readonly ageSeconds: number;
}

/** One line of the metrics page. */
export interface Sample {
  /** With `_bucket`, `_sum` or `_count` where the line has it. */
  readonly name: string;
  /**
   * Label values by name, `le` and `quantile` as they are printed. Frozen, and the same object at each reading of the
   * sample, so that it can be the key of a `Map`.
   */
  readonly labels: Labels;
  readonly value: number;
}

/**
 * The populated buckets of one sign, by ascending index; both arrays are as long. A bucket counts the magnitudes above
 * b^(index-1) up to b^index.
 */
export interface NativeBuckets {
  readonly indexes: Int32Array;
  readonly counts: Float64Array;
}

/**
 * One series of a native histogram, of all observations since its start.
 *
 * https://prometheus.io/docs/specs/native_histograms/
 */
export interface NativeHistogram {
  /** Of the metric; of a summary's twin, the twin's own. */
  readonly name: string;
  /** Label values by name. Frozen, and the same object at each reading, so that it can be the key of a `Map`. */
  readonly labels: Labels;
  /** From one bucket to the next, bounds grow by b = 2^(2^-schema). The same at each reading. */
  readonly schema: number;
  /** Observations of at most this magnitude are counted as zeros. */
  readonly zeroThreshold: number;
  readonly zeroCount: number;
  /** Of all observations; NaN too, which is in no bucket. */
  readonly count: number;
  readonly sum: number;
  /** Of observations above zero. */
  readonly positive: NativeBuckets;
  /** Of observations below zero. */
  readonly negative: NativeBuckets;
}

/** Steps at which the handler of `/metrics` can fail. */
export const HANDLER_ERROR_CAUSES = ['gathering', 'compression'] as const;
export type HandlerErrorCause = (typeof HANDLER_ERROR_CAUSES)[number];
