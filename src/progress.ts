import type { Logger } from './log.ts';

const SECOND = 1000;
const INTERVAL_MS = 5 * SECOND;

/**
 * Waits for work, and says every few seconds what for and for how long.
 *
 * @param what completes the sentence "still waiting for …"
 */
export async function withProgress<T>(log: Logger, what: string, work: Promise<T>): Promise<T> {
  const started = performance.now();
  const timer = setInterval(() => {
    log.info(`still waiting for ${what}, ${Math.round((performance.now() - started) / SECOND)} s so far`);
  }, INTERVAL_MS);
  try {
    return await work;
  } finally {
    clearInterval(timer);
  }
}
