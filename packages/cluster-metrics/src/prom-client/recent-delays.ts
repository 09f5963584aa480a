import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';

const SECOND = 1000;
const HALF_WINDOW_MS = 30 * SECOND;
/** prom-client's own default; a delay is measured from one turn of this timer to the next, so the least is this. */
const RESOLUTION_MS = 10;

/** The delays of this process' event loop in the last 30 to 60 seconds; when it has just started, since then. */
export class RecentDelays {
  #older = startMonitor();
  #younger = startMonitor();
  #turnedMs = performance.now();

  /** In nanoseconds. */
  get histogram(): IntervalHistogram {
    const now = performance.now();
    if (now - this.#turnedMs >= HALF_WINDOW_MS) {
      this.#older.reset();
      [this.#older, this.#younger] = [this.#younger, this.#older];
      this.#turnedMs = now;
    }
    return this.#older;
  }

  stop(): void {
    this.#older.disable();
    this.#younger.disable();
  }
}

function startMonitor(): IntervalHistogram {
  const monitor = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  monitor.enable();
  return monitor;
}
