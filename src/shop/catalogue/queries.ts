import type { Knex } from 'knex';
import type { CategoryView, ProductCardView, ProductView } from '../views.ts';
import { foldAccents, type Search, WITHOUT_ACCENT } from './search.ts';

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

/**
 * SQL that folds a text as {@link foldAccents} does. PostgreSQL's own `lower` depends on the locale of the database: in
 * `C` it knows the letters of ASCII alone, which is what remains here.
 */
function folded(text: string): string {
  const bare = `regexp_replace(normalize(${text}, NFD), '[\u0300-\u036f]', '', 'g')`;
  return `translate(lower(${bare} collate "C"), '${WITHOUT_ACCENT.capitals}', '${WITHOUT_ACCENT.small}')`;
}

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

/** Products to show beside a product: in stock before sold out, its own category before others. */
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
    .limit(pageSize)
    .offset((search.page - 1) * pageSize);
  for (const { column, order } of search.sort.columns) {
    if (column === 'products.name') query.orderByRaw(`${folded(column)} ${order}`);
    else query.orderBy(column, order);
  }
  if (search.category) query.where('categories.slug', search.category);
  if (search.words.length > 0) {
    query.whereRaw(`${folded(`products.name || ' ' || products.summary || ' ' || categories.name`)} like all (?)`, [
      search.words.map((word) => `%${escapeLike(foldAccents(word))}%`),
    ]);
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
