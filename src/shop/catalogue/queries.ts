import type { Knex } from 'knex';
import type { CategoryView, ProductCardView, ProductView } from '../views.ts';
import { foldAccents, type Search } from './search.ts';

interface CardRow {
  id: number;
  slug: string;
  name: string;
  summary: string;
  priceCents: number;
  stock: number;
  picture: string;
  categorySlug: string;
  categoryName: string;
}

const CARD_COLUMNS = {
  id: 'products.id',
  slug: 'products.slug',
  name: 'products.name',
  summary: 'products.summary',
  priceCents: 'products.price_cents',
  stock: 'products.stock',
  picture: 'products.picture',
  categorySlug: 'categories.slug',
  categoryName: 'categories.name',
};

/** Letters of Portuguese and what they are without accents, for PostgreSQL's `translate`. */
const ACCENTED = 'áàâãäéèêëíìîïóòôõöúùûüçñ';
const PLAIN = 'aaaaaeeeeiiiiooooouuuucn';

export async function findCategories(database: Knex): Promise<CategoryView[]> {
  return database('categories').select('slug', 'name').orderBy(['position', 'id']);
}

export async function findFeatured(database: Knex, limit: number): Promise<ProductCardView[]> {
  const rows: CardRow[] = await cards(database).where('products.featured', true).orderBy('products.id').limit(limit);
  return rows.map(toCard);
}

export async function findNewest(database: Knex, limit: number): Promise<ProductCardView[]> {
  const rows: CardRow[] = await cards(database)
    .orderBy([
      { column: 'products.created_at', order: 'desc' },
      { column: 'products.id', order: 'desc' },
    ])
    .limit(limit);
  return rows.map(toCard);
}

/** What to look at besides a product: in stock before sold out, its own category before others. */
export async function findRelated(
  database: Knex,
  product: { id: number; category: CategoryView },
  limit: number,
): Promise<ProductCardView[]> {
  const rows: CardRow[] = await cards(database)
    .whereNot('products.id', product.id)
    .orderByRaw('products.stock = 0, categories.slug <> ?, products.id', [product.category.slug])
    .limit(limit);
  return rows.map(toCard);
}

export async function findProduct(database: Knex, id: number): Promise<ProductView | null> {
  const row: (CardRow & { description: string }) | undefined = await cards(database)
    .select({ description: 'products.description' })
    .where('products.id', id)
    .first();
  return row ? { ...toCard(row), description: row.description } : null;
}

/** One page of what a search finds, and how many products it finds in all (0 also on a page beyond the last). */
export async function searchProducts(
  database: Knex,
  search: Search,
  pageSize: number,
): Promise<{ products: ProductCardView[]; total: number }> {
  const query = cards(database)
    .select(database.raw('count(*) over ()::int as total'))
    .orderBy(search.sort.columns)
    .limit(pageSize)
    .offset((search.page - 1) * pageSize);
  if (search.category) query.where('categories.slug', search.category);
  for (const word of search.words) {
    query.whereRaw(
      `translate(lower(products.name || ' ' || products.summary || ' ' || categories.name), ?, ?) like ?`,
      [ACCENTED, PLAIN, `%${escapeLike(foldAccents(word))}%`],
    );
  }
  const rows: (CardRow & { total: number })[] = await query;
  return { products: rows.map(toCard), total: rows[0]?.total ?? 0 };
}

function cards(database: Knex) {
  return database('products').join('categories', 'categories.id', 'products.category_id').select(CARD_COLUMNS);
}

function toCard(row: CardRow): ProductCardView {
  return {
    id: row.id,
    slug: row.slug,
    name: row.name,
    summary: row.summary,
    priceCents: row.priceCents,
    stock: row.stock,
    picture: row.picture,
    category: { slug: row.categorySlug, name: row.categoryName },
  };
}

/** So that `%` and `_` are looked for, not obeyed. */
function escapeLike(text: string): string {
  return text.replace(/[\\%_]/g, '\\$&');
}
