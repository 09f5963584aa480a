import { createChance } from './chance.ts';

/** How popular products are, and which ones the shoppers have seen in the shop so far. */
export interface Popularity {
  /** Weight of a product, by its address; between 1 and {@link MOST_POPULAR}. */
  of(product: string): number;
  /** Notes products of a page. @param products name by address */
  see(products: ReadonlyMap<string, string>): void;
  /** All products that were noted: name by address. */
  seen(): ReadonlyMap<string, string>;
}

/** Times as popular as the least popular product. */
const MOST_POPULAR = 34;

/**
 * Popularity after Zipf's law: the product of rank k is about 1/k as popular as the first. A product's rank follows from
 * the seed and its address alone, so it works with any catalogue, and one seed makes the same products popular.
 */
export function createPopularity(seed: string): Popularity {
  const products = new Map<string, string>();
  const weights = new Map<string, number>();

  return {
    of(product) {
      const known = weights.get(product);
      if (known !== undefined) return known;
      // Even ranks between 0 and 1, shifted so that no product is sold alone.
      const rank = createChance(seed, product).between(0, 999) / 1000;
      const shift = 1 / (MOST_POPULAR - 1);
      const weight = (1 + shift) / (rank + shift);
      weights.set(product, weight);
      return weight;
    },
    see(found) {
      for (const [address, name] of found) products.set(address, name);
    },
    seen: () => products,
  };
}
