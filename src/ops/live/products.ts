import type { Knex } from 'knex';
import type { Logger } from '../../log.ts';
import type { Structure } from './model.ts';

const INTERVAL_MS = 60 * 1000;
/** The products' pictures on the primary's own server. */
export const PICTURES = '/products';

/** Names and pictures of the products, for the live page alone. */
export interface Products {
  /** In the order of their ids. Empty until they could be read once. */
  list(): Structure['products'];
  stop(): Promise<void>;
}

/**
 * Reads the products now and once a minute. After a failure, the last ones stay.
 *
 * @param changed called when the list is another
 */
export function watchProducts(database: Knex, log: Logger, changed: () => void): Products {
  let products: Structure['products'] = [];
  let underWay: Promise<void> = Promise.resolve();

  async function read(): Promise<void> {
    try {
      const rows: { slug: string; name: string; picture: string }[] = await database('products')
        .select('slug', 'name', 'picture')
        .orderBy('id');
      const next = rows.map(({ slug, name, picture }) => ({ slug, name, picture: pictureOf(picture) }));
      if (JSON.stringify(next) === JSON.stringify(products)) return;
      products = next;
      changed();
    } catch (error) {
      log.debug({ err: error }, 'the names of the products could not be read for the live page');
    }
  }

  function tick(): void {
    underWay = read();
  }

  tick();
  const timer = setInterval(tick, INTERVAL_MS).unref();
  return {
    list: () => products,
    stop() {
      clearInterval(timer);
      return underWay;
    },
  };
}

/** @param path of the file in `public`: `products/mochila-urbana.svg` */
function pictureOf(path: string): string {
  return `${PICTURES}/${path.slice(path.lastIndexOf('/') + 1)}`;
}
