import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';

const HOST = '127.0.0.1';
/**
 * Below the ports that systems give to outgoing connections (Linux from 32768, others from 49152). While the database is
 * down its pools keep trying to connect; with one of those ports, such an attempt can get the very same port for its own
 * end, connect to itself, and keep the database from coming back.
 */
const LOWEST = 20_000;
const HIGHEST = 32_000;

/** A port of the loopback that nobody listens on now. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(LOWEST, HIGHEST);
    if (await isFree(port)) return port;
  }
}

export async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    server.listen(port, HOST);
    await once(server, 'listening');
    return true;
  } catch {
    return false;
  } finally {
    server.close();
  }
}
