import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import type { DatabaseConnection } from '../config.ts';
import type { Logger } from '../log.ts';
import { clientConfig, type Deadlines } from './connect.ts';

const RETRY_MS = 250;

/** The network's errors that a server or a name that is still coming up gives. */
const NOT_YET = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
]);
/** Classes of SQLSTATE that pass: connection exception, insufficient resources, operator intervention (starting up). */
const PASSING_CLASSES = new Set(['08', '53', '57']);

export interface WaitOptions {
  readonly applicationName: string;
  readonly deadlines: Omit<Deadlines, 'acquire'>;
  readonly log: Logger;
  readonly patienceMs: number;
}

/**
 * One connection to a server that may still be starting.
 *
 * @throws after `patienceMs`, or at once when waiting can't help: a wrong password, a database that does not exist
 */
export async function waitForServer(connection: DatabaseConnection, options: WaitOptions): Promise<pg.Client> {
  const deadline = performance.now() + options.patienceMs;
  for (let attempt = 1; ; attempt++) {
    const client = new pg.Client(clientConfig(connection, options.applicationName, options.deadlines));
    try {
      await client.connect();
      return client;
    } catch (error) {
      client.on('error', () => {});
      void client.end().catch(() => {});
      const reason = error instanceof Error ? error.message || String(error) : String(error);
      if (!mayPass(error)) throw new Error(`The database refuses: ${reason}`, { cause: error });
      if (performance.now() > deadline) {
        throw new Error(`The database did not answer within ${options.patienceMs / 1000} s: ${reason}`, {
          cause: error,
        });
      }
      if (attempt === 1) options.log.info({ reason }, 'waiting for the database');
      await delay(RETRY_MS);
    }
  }
}

function mayPass(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? String(error.code) : undefined;
  // pg's own timeouts and a connection closed in the middle carry no code.
  return code === undefined || NOT_YET.has(code) || PASSING_CLASSES.has(code.slice(0, 2));
}
