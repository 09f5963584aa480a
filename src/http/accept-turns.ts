import type { Server } from 'node:http';

/**
 * Pause after accepting a connection, so that other workers get the next one. Otherwise the first to wake up accepts
 * most of the connections that come at once; older versions of libuv paused likewise where `UV_TCP_SINGLE_ACCEPT` was
 * set.
 */
const PAUSE_MS = 0.05;

const NEVER = new Int32Array(new SharedArrayBuffer(4));

/** Spreads connections over the processes that listen on one address. */
export function takeTurnsAccepting(server: Server): void {
  server.on('connection', function pause() {
    // Blocks the thread, for a time far shorter than a timer's.
    Atomics.wait(NEVER, 0, 0, PAUSE_MS);
  });
}
