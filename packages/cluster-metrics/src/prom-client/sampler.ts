/** Twice, so that a gauge is less than a second old also where a timer comes late. */
export const SAMPLES_PER_SECOND = 2;
export const SAMPLE_INTERVAL_MS = 1000 / SAMPLES_PER_SECOND;

export interface Sampler {
  /** Resolves when the first sample is taken. */
  readonly first: Promise<void>;
  /** Takes no further sample; resolves when the one under way has ended. */
  stop(): Promise<void>;
}

/**
 * Calls `sample` now and then regularly, one at a time; its timer keeps no process alive.
 *
 * @param sample never throws or rejects: it knows what its failure means
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
