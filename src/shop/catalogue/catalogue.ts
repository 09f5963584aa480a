import type { CategoryView, ProductCardView, ProductView } from '../views.ts';
import { BY_SALES, finds, type Search, type Searchable, type Sort } from './search.ts';

/** A product as pages show it, and as searches find it. Its stock is the one that pages show. */
export interface CatalogueProduct extends ProductView, Searchable {
  category: CategoryView;
}

/** What a catalogue is made of. */
export interface CatalogueContent {
  /** In the navigation's order. */
  categories: readonly CategoryView[];
  /** In the order of their ids. */
  products: readonly CatalogueProduct[];
}

/** The products and categories of one moment, as pages show them. It never changes. */
export interface Catalogue extends CatalogueContent {
  /** Another number for another content. */
  readonly version: number;
  /** @returns null when there is no such product */
  product(id: number): CatalogueProduct | null;
  /** Products in a category; in all categories for an empty slug. @returns null when there is no such category */
  count(category: string): number | null;
  /** Products that were sold of late and are in stock, the most sold first. */
  bestSellers(limit: number): ProductCardView[];
  /** The first products of an order, without some. */
  first(sort: Sort, limit: number, except: readonly ProductCardView[]): ProductCardView[];
  /** Products to show beside a product: in stock before sold out, its own category before others. */
  related(product: CatalogueProduct, limit: number): ProductCardView[];
  /** All products that a search finds, in its order. */
  search(search: Search): ProductCardView[];
}

export function createCatalogue({ categories, products }: CatalogueContent, version: number): Catalogue {
  const byId = new Map(products.map((product) => [product.id, product]));
  const counts = new Map([['', products.length], ...categories.map(({ slug }) => [slug, 0] as const)]);
  for (const { category } of products) counts.set(category.slug, (counts.get(category.slug) ?? 0) + 1);

  return {
    version,
    categories,
    products,
    product: (id) => byId.get(id) ?? null,
    count: (category) => counts.get(category) ?? null,
    bestSellers: (limit) =>
      products
        .filter(({ salesPlace, stock }) => salesPlace !== null && stock > 0)
        .toSorted(BY_SALES.compare)
        .slice(0, limit),
    first: (sort, limit, except) =>
      products
        .filter((product) => !except.includes(product))
        .toSorted(sort.compare)
        .slice(0, limit),
    related(product, limit) {
      const distance = ({ stock, category }: CatalogueProduct) =>
        (stock === 0 ? 2 : 0) + (category.slug === product.category.slug ? 0 : 1);
      return products
        .filter(({ id }) => id !== product.id)
        .toSorted((a, b) => distance(a) - distance(b))
        .slice(0, limit);
    },
    search: (search) => products.filter((product) => finds(search, product)).toSorted(search.sort.compare),
  };
}
