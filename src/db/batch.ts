import { Semaphore, type SemaphoreInterface, withTimeout } from 'async-mutex';
import { noteConnectionFailure } from './failures.ts';

export interface BatchLimits {
  /** Longest wait for a turn, in milliseconds. */
  readonly waitMs: number;
  /** Statements under way at a time. Default 2, so that the next one is there when one ends; more would share less. */
  readonly statements?: number;
  /** Items of one statement. Default 32. */
  readonly size?: number;
}

/**
 * Makes a function that stores an item. What comes while others' items are being stored is stored together: one round
 * trip and one durable commit for all of them. Whoever is alone waits for nobody.
 *
 * Items with the same key are never in the same statement, since it changes a row only once.
 *
 * @param store one statement that stores all of the items or none, and waits for no lock that another transaction keeps
 * @returns the stored item's result; undefined when `store` had none for its key
 * @throws what `store` threw, for each of its items; and an error for which `isDatabaseFailure` is true when their turn
 *   did not come in time
 */
export function batchStatements<Key, Item, Result>(
  store: (items: readonly Item[]) => Promise<ReadonlyMap<Key, Result>>,
  keyOf: (item: Item) => Key,
  { waitMs, statements = 2, size = 32 }: BatchLimits,
): (item: Item) => Promise<Result | undefined> {
  interface Batch {
    readonly items: Map<Key, Item>;
    readonly results: Promise<ReadonlyMap<Key, Result>>;
  }

  const turns = withTimeout(new Semaphore(statements), waitMs);
  /** The batch that waits for its turn, and takes further items. */
  let open: Batch | null = null;

  async function takeTurn(): Promise<SemaphoreInterface.Releaser> {
    try {
      const [, release] = await turns.acquire();
      return release;
    } catch {
      const error = new Error(`${statements} statements were under way, and a turn did not come in ${waitMs} ms`);
      noteConnectionFailure(error);
      throw error;
    }
  }

  async function storeInTurn(items: Map<Key, Item>): Promise<ReadonlyMap<Key, Result>> {
    const endTurn = await takeTurn().finally(() => {
      if (open?.items === items) open = null;
    });
    try {
      return await store([...items.values()]);
    } finally {
      endTurn();
    }
  }

  return async function storeWithOthers(item) {
    const key = keyOf(item);
    if (!open || open.items.size === size || open.items.has(key)) {
      const items = new Map<Key, Item>();
      open = { items, results: storeInTurn(items) };
    }
    const { items, results } = open;
    items.set(key, item);
    return (await results).get(key);
  };
}
