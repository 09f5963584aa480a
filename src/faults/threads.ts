const SECOND_MS = 1000;

/** Less than the 10 seconds after which the primary takes a worker for one that hangs. */
const BLOCK_MS = 3 * SECOND_MS;
/** From the beginning of one block to that of the next. */
const BLOCK_EVERY_MS = 5 * SECOND_MS;
/** After a worker has heard of it: it has served for a moment then. */
const CRASH_AFTER_MS = 2 * SECOND_MS;

/**
 * `blocked_loop`: this thread does nothing else for 3 s of each 5 s.
 *
 * @returns ends it
 */
export function beginBlocking(): () => void {
  const block = () => loopFor(BLOCK_MS);
  const first = setTimeout(block);
  const timer = setInterval(block, BLOCK_EVERY_MS);
  return function endBlocking() {
    clearTimeout(first);
    clearInterval(timer);
  };
}

/**
 * `worker_hang`: this thread does nothing else, until the primary kills the worker, or the fault would have ended.
 *
 * @returns ends it, if it has not begun yet
 */
export function beginHanging(leftMs: number): () => void {
  const timer = setTimeout(() => loopFor(leftMs));
  return () => clearTimeout(timer);
}

/**
 * `worker_crash`: an error that no code catches.
 *
 * @returns ends it
 */
export function crashSoon(): () => void {
  const timer = setTimeout(() => {
    throw new Error('worker_crash: an error that no code catches');
  }, CRASH_AFTER_MS);
  return () => clearTimeout(timer);
}

/** Blocks the event loop. */
export function loopFor(ms: number): void {
  const untilMs = performance.now() + ms;
  while (performance.now() < untilMs);
}
