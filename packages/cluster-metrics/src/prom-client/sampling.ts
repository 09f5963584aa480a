/** Twice, so that a gauge is less than a second old even when a timer comes late. */
export const SAMPLES_PER_SECOND = 2;
export const SAMPLE_INTERVAL_MS = 1000 / SAMPLES_PER_SECOND;

export interface Sampler {
  /** Resolves when the first sample is taken. */
  readonly first: Promise<void>;
  /** Takes no further sample; resolves when the one under way has ended. */
  stop(): Promise<void>;
}

/**
 * Calls `sample` at once and then twice a second, one call at a time. The timer keeps no process alive.
 *
 * @param sample must not throw or reject: it has to decide itself what its failure means
 */
export function sampleRegularly(sample: () => void | Promise<void>): Sampler {
  let underWay: Promise<void> | undefined;

  async function take(): Promise<void> {
    await sample();
    underWay = undefined;
  }

  function tick(): Promise<void> {
    underWay ??= take();
    return underWay;
  }

  const timer = setInterval(tick, SAMPLE_INTERVAL_MS).unref();
  return {
    first: tick(),
    async stop() {
      clearInterval(timer);
      await underWay;
    },
  };
}

/** Emits a process warning for a metric that could not be sampled: once for each message, not at every scrape. */
export function samplingWarnings(): (error: unknown) => void {
  const told = new Set<string>();
  return function warnOnce(error) {
    const warning = `A metric could not be sampled: ${error instanceof Error ? error.message : error}`;
    if (!told.has(warning)) process.emitWarning(warning);
    told.add(warning);
  };
}
