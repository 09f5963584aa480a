import type { Knex } from 'knex';
import type { CategoryView } from '../views.ts';
import { findCategories } from './queries.ts';

/** The part of the catalogue that every page shows. It hardly ever changes. */
export interface Catalogue {
  /** All categories, at most a minute old; older when the database doesn't answer. */
  categories(): Promise<readonly CategoryView[]>;
  /** The same without asking the database: empty before the first answer. */
  knownCategories(): readonly CategoryView[];
}

const FRESH_MS = 60_000;

export function createCatalogue(database: Knex): Catalogue {
  let known: readonly CategoryView[] = [];
  let fetchedAt = Number.NEGATIVE_INFINITY;
  let fetching: Promise<readonly CategoryView[]> | null = null;

  async function fetch(): Promise<readonly CategoryView[]> {
    try {
      known = await findCategories(database);
      fetchedAt = performance.now();
    } catch (error) {
      if (known.length === 0) throw error;
    } finally {
      fetching = null;
    }
    return known;
  }

  return {
    async categories() {
      if (performance.now() - fetchedAt < FRESH_MS) return known;
      fetching ??= fetch();
      return fetching;
    },
    knownCategories: () => known,
  };
}
