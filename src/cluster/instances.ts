import { randomUUID, scrypt } from 'node:crypto';
import { hostname } from 'node:os';
import { promisify } from 'node:util';
import type { Knex } from 'knex';
import type { Logger } from '../log.ts';

const SECOND_MS = 1_000;
const HEARTBEAT_MS = 30 * SECOND_MS;
/** An instance has ended when three of its heartbeats are missing. */
const ALIVE = '90 seconds';
/** Rows of instances that were killed are removed after this. */
const FORGOTTEN = '1 day';
const HASH_BYTES = 24;

export interface InstanceOptions {
  readonly sessionKeys: readonly string[];
  readonly log: Logger;
}

/**
 * Enters this instance in the list of instances that share the database, and warns when another has none of its session
 * keys: each then takes the other's cookies for forged, and visitors lose their carts at every change of instance. Only
 * a slow, salted hash of the keys is stored. Never fails: a shop without this list serves as well.
 *
 * @returns takes the instance off the list
 */
export async function enterInstance(
  database: Knex,
  { sessionKeys, log }: InstanceOptions,
): Promise<() => Promise<void>> {
  const id = randomUUID();
  const name = `${hostname()}:${process.pid}`;
  /** Undefined until the salt is read from the database. */
  let hashes: string[] | undefined;

  async function writeHeartbeat(): Promise<void> {
    const isFirst = hashes === undefined;
    hashes ??= await hashKeys(database, sessionKeys);
    const row = { id, name, session_key_hashes: hashes, seen_at: database.fn.now() };
    await database('instances').insert(row).onConflict('id').merge(['seen_at']);
    // First write, then look: of two that start at once, at least one sees the other.
    if (isFirst) await warnOfOtherKeys(hashes);
    await database('instances').whereRaw('seen_at < now() - ?::interval', [FORGOTTEN]).delete();
  }

  async function warnOfOtherKeys(hashes: string[]): Promise<void> {
    const strangers = await database('instances')
      .whereRaw('seen_at > now() - ?::interval and not session_key_hashes && ?::text[]', [ALIVE, hashes])
      .orderBy('name')
      .pluck<string[]>('name');
    if (strangers.length > 0) {
      log.warn(
        { instances: strangers },
        'this instance has none of the session keys of other instances on its database, so visitors lose their carts when they come to another instance: set the same SESSION_KEYS for all of them',
      );
    }
  }

  async function quietly(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      log.debug({ err: error }, 'this instance could not be written into the list of instances');
    }
  }

  let underWay = quietly(writeHeartbeat);
  await underWay;

  const timer = setInterval(() => {
    underWay = quietly(writeHeartbeat);
  }, HEARTBEAT_MS).unref();
  return async function leave() {
    clearInterval(timer);
    await underWay;
    await quietly(async () => {
      await database('instances').where({ id }).delete();
    });
  };
}

const slowHash = promisify<string, string, number, Buffer>(scrypt);

async function hashKeys(database: Knex, keys: readonly string[]): Promise<string[]> {
  const { salt } = await database('session_key_salt').first('salt');
  return Promise.all(keys.map(async (key) => (await slowHash(key, salt, HASH_BYTES)).toString('base64url')));
}
