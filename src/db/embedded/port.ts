import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { StartError } from '../../start-error.ts';

const HOST = '127.0.0.1';
/**
 * Below the ports that systems give to outgoing connections (Linux from 32768, others from 49152). While the database
 * is down its pools keep trying to connect; with one of those ports, such an attempt can get the very same port for its
 * own end, connect to itself, and keep the database from coming back.
 */
const LOWEST = 20_000;
const HIGHEST = 32_000;
const ATTEMPTS = 1_000;

/**
 * A port of the loopback on which no program listens now.
 *
 * @throws {StartError} with the remedy, when there is none, or no loopback
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const port = randomInt(LOWEST, HIGHEST);
    if (await isFree(port)) return port;
    // A refused port costs no turn of the event loop: signals would have to wait for the end of the search.
    await nextTurn();
  }
  throw new StartError(
    `No port from ${LOWEST} to ${HIGHEST} of ${HOST} was free in ${ATTEMPTS} attempts: stop what listens there, or set DATABASE_URL to a PostgreSQL server.`,
  );
}

/** @throws {StartError} when the port can't be used for another reason than a program that listens there */
export async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, HOST);
  try {
    await once(server, 'listening');
    // Where the loopback is down, some systems allow listening, but no connection arrives.
    const client = connect(port, HOST);
    try {
      await once(client, 'connect');
    } finally {
      client.destroy();
    }
    return true;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE') return false;
    throw new StartError(
      `The embedded PostgreSQL has to listen on ${HOST}, which does not work here (${message}). Is the loopback interface up (ip link set lo up)? Else set DATABASE_URL to a PostgreSQL server.`,
      { cause: error },
    );
  } finally {
    server.close();
  }
}
