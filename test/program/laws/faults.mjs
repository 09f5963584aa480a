/*
 * Tests preload this into a shop's processes through NODE_OPTIONS. A worker that receives SIGUSR2 reads the file with its
 * pid as its name, in the folder FAULT_FILES, and commits the fault that the file names. A worker pauses for SLOW_START_MS
 * before it starts. The shop itself has no code for this.
 */
import cluster from 'node:cluster';
import { subscribe } from 'node:diagnostics_channel';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const faults = {
  exception() {
    throw new Error('an uncaught exception');
  },
  'out of memory'() {
    const hoard = [];
    for (;;) hoard.push(new Array(100_000).fill(0));
  },
  'killed by its next answer'() {
    // Published when the last byte was handed to the system: the client receives it although the process is gone.
    subscribe('http.server.response.finish', () => process.kill(process.pid, 'SIGKILL'));
  },
  'endless loop'() {
    for (;;);
  },
};

if (cluster.isWorker && process.env.FAULT_FILES) {
  process.on('SIGUSR2', () => faults[readFileSync(join(process.env.FAULT_FILES, String(process.pid)), 'utf8')]());
}

if (cluster.isWorker && process.env.SLOW_START_MS) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Number(process.env.SLOW_START_MS));
}
