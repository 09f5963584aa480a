import { Worker } from 'node:worker_threads';

const CHECK_MS = 500;

/** Runs in a thread of its own, since the case that it is for is a main thread that runs in circles. */
const WATCH = `
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) process.kill(process.pid, 'SIGKILL');
  }, ${CHECK_MS});
`;

/**
 * Ends this process when its parent is gone. Node.js does so too, when it sees the channel to the primary close, but
 * a worker in an endless loop sees nothing.
 */
export function watchForOrphanhood(): void {
  new Worker(WATCH, {
    eval: true,
    execArgv: [],
    stdout: false,
    resourceLimits: { maxYoungGenerationSizeMb: 2 },
  }).unref();
}
