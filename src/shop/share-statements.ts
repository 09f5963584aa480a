import { type BatchLimits, batchStatements, isLockTimeout, isOutage, type StoreWithOthers } from '../db/index.ts';
import { type Clock, ClockGroup, currentRequest, withRequestClock } from '../instrument/request-clock.ts';

/** For `catch`: no result, when another transaction holds a lock. */
export function noneIfLocked(error: unknown): undefined {
  if (!isLockTimeout(error)) throw error;
}

/**
 * Makes a function that stores the items of requests in statements that they share, as `batchStatements` does. Each of
 * these requests is charged with the waits of its statement; while it waits for its turn, with those of the statements
 * under way.
 *
 * If PostgreSQL refuses a statement of several items, none of them is stored and none has a result. One of them may be the
 * cause, so the caller then stores each by itself.
 */
export function shareStatements<Key, Item, Result>(
  store: (items: readonly Item[]) => Promise<ReadonlyMap<Key, Result>>,
  keyOf: (item: Item) => Key,
  limits?: BatchLimits,
): StoreWithOthers<Item, Result> {
  interface Entry {
    readonly item: Item;
    readonly request: Clock | undefined;
  }

  /** The requests whose turn has not come. */
  const line = new ClockGroup();

  async function storeAll(entries: readonly Entry[]): Promise<ReadonlyMap<Key, Result>> {
    const requests = entries.flatMap(({ request }) => request ?? []);
    for (const request of requests) line.delete(request);
    try {
      const all = new ClockGroup([...requests, line]);
      return await withRequestClock(all, () => store(entries.map(({ item }) => item)));
    } catch (error) {
      if (entries.length === 1 || isOutage(error)) throw error;
      return new Map();
    }
  }

  const storeWithOthers = batchStatements(storeAll, ({ item }) => keyOf(item), limits);

  return async function storeShared(item, waitMs) {
    const request = currentRequest();
    if (request) line.add(request);
    try {
      return await storeWithOthers({ item, request }, waitMs);
    } finally {
      if (request) line.delete(request);
    }
  };
}
