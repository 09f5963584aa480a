import { isFree } from '../../src/db/embedded/port.ts';

/** Nobody else takes from these: embedded databases take from 20000 on, systems give from 32768 or 49152 on. */
const LOWEST = 10_000;
const PORTS = 9_000;
/** Processes that begin one after the other look at ports so far apart. */
const STEP = 10;

let tried = process.pid * STEP;

/** A port of the loopback that nobody listens on, and that nobody takes before it is used. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = LOWEST + (tried++ % PORTS);
    if (await isFree(port)) return port;
  }
}
