import { Semaphore } from 'async-mutex';
import { noteConnectionFailure } from './failures.ts';

export interface BatchLimits {
  /** Statements under way at a time. Default 2, so that the next one is there when one ends; more would share less. */
  readonly statements?: number;
  /** Items of one statement. Default 32. */
  readonly size?: number;
}

/**
 * Stores an item, together with others that arrive at the same time.
 *
 * @param waitMs longest wait until its statement is sent
 * @returns its result; undefined when its statement had none for it
 * @throws what its statement threw; or an error for which `isDatabaseFailure` is true when its turn did not come in time,
 *   and then it is never stored
 */
export type StoreWithOthers<Item, Result> = (item: Item, waitMs: number) => Promise<Result | undefined>;

/**
 * Makes a function that stores items. Items that arrive while statements are under way share the next statement: one round
 * trip and one durable commit for all of them. An item that arrives alone is stored at once.
 *
 * Items with the same key are never in the same statement, since it changes a row only once.
 *
 * @param store one statement that stores all of the items or none, and waits for other transactions for a short time at most
 */
export function batchStatements<Key, Item, Result>(
  store: (items: readonly Item[]) => Promise<ReadonlyMap<Key, Result>>,
  keyOf: (item: Item) => Key,
  { statements = 2, size = 32 }: BatchLimits = {},
): StoreWithOthers<Item, Result> {
  interface Batch {
    readonly items: Map<Key, Item>;
    readonly results: Promise<ReadonlyMap<Key, Result>>;
  }

  const turns = new Semaphore(statements);
  /** The batches whose turn has not come. They take further items. */
  let waiting: readonly Batch[] = [];

  async function storeInTurn(items: ReadonlyMap<Key, Item>): Promise<ReadonlyMap<Key, Result>> {
    const [, endTurn] = await turns.acquire();
    waiting = waiting.filter((batch) => batch.items !== items);
    try {
      // The time of all of them may be over.
      return items.size === 0 ? new Map() : await store([...items.values()]);
    } finally {
      endTurn();
    }
  }

  function openBatch(): Batch {
    const items = new Map<Key, Item>();
    const batch = { items, results: storeInTurn(items) };
    waiting = [...waiting, batch];
    return batch;
  }

  return async function storeWithOthers(item, waitMs) {
    const key = keyOf(item);
    const batch = waiting.find(({ items }) => items.size < size && !items.has(key)) ?? openBatch();
    batch.items.set(key, item);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(function leave() {
        if (!waiting.includes(batch)) return;
        batch.items.delete(key);
        const error = new Error(`${statements} statements were under way, and a turn did not come in ${waitMs} ms`);
        noteConnectionFailure(error);
        reject(error);
      }, waitMs);
    });
    try {
      return (await Promise.race([batch.results, late])).get(key);
    } finally {
      clearTimeout(timer);
    }
  };
}
