import type { Knex } from 'knex';
import { safeInteger } from '../../db/index.ts';
import { labelQuery } from '../../db/query-labels.ts';
import { MAX_QUANTITY } from '../cart/cart.ts';
import type { CategoryView, ProductFact, ProductView } from '../views.ts';
import type { CatalogueContent, CatalogueProduct } from './catalogue.ts';
import { foldAccents, searchedText } from './search.ts';

/**
 * Reads the catalogue if its version is another than the known one: one statement, so the version and the content are
 * of one moment.
 *
 * The version is computed from `xmin`, the transaction that has written a row as it is. So it changes with each insert,
 * update and delete, by any client, and needs neither a trigger nor a right beyond reading.
 * https://www.postgresql.org/docs/current/ddl-system-columns.html
 * After a failover to a standby that had not received the last transactions, their numbers are given again: then
 * another content may have the known version.
 *
 * @param knownVersion empty for none
 * @returns `content` is for {@link parseContent}: the same text means the same pages. Null when the version is the known
 *   one
 */
export async function readCatalogue(
  database: Knex,
  knownVersion: string,
): Promise<{ version: string; content: string | null }> {
  const { rows } = await labelQuery(
    database.raw<{ rows: [{ version: string; content: string | null }] }>(CATALOGUE, { knownVersion }),
    'select',
    'products',
  );
  return rows[0];
}

/** No page tells a larger stock from the most that a cart may hold, so that most sales change no page. */
const SHOWN_STOCK = `least(products.stock, ${MAX_QUANTITY})`;

const CATALOGUE = `
  with written as (
    select 'category ' || id || ' ' || xmin as entry from categories
    union all
    select 'product ' || id || ' ' || xmin from products
  ), present as (
    select encode(sha256(convert_to(coalesce(string_agg(entry, ',' order by entry), ''), 'UTF8')), 'hex') as version
    from written
  )
  select version, case when version <> :knownVersion then json_build_object(
    'categories', (
      select json_agg(json_build_object('slug', slug, 'name', name) order by position, id) from categories
    ),
    'products', (
      select json_agg(json_build_object(
        'id', products.id,
        'slug', products.slug,
        'name', products.name,
        'summary', products.summary,
        'description', products.description,
        'facts', coalesce(products.facts, ''),
        'priceCents', products.price_cents,
        'stock', ${SHOWN_STOCK},
        'picture', products.picture,
        'category', json_build_object('slug', categories.slug, 'name', categories.name),
        'featured', products.featured,
        'newest', products.newest
      ) order by products.id)
      from (select *, row_number() over (order by created_at desc, id desc) as newest from products) as products
      join categories on categories.id = products.category_id
    )
  )::text end as content
  from present`;

/** Orders whose products make the ranking: few enough to be read once a minute by each worker, however many there are. */
const RANKED_ORDERS = 5_000;

/**
 * Reads the places of the products that were sold in the latest paid orders.
 *
 * @returns for {@link parseContent}: the same text means the same ranking
 */
export async function readRanking(database: Knex): Promise<string> {
  const { rows } = await labelQuery(
    database.raw<{ rows: [{ ranking: string }] }>(RANKING, { orders: RANKED_ORDERS }),
    'select',
    'order_items',
  );
  return rows[0].ranking;
}

const RANKING = `
  with latest as (
    select id from orders where status = 'paid' order by id desc limit :orders
  ), ranked as (
    select product_id, dense_rank() over (order by sum(quantity) desc) as place
    from latest cross join lateral (
      -- The offset keeps the planner from reading the whole table.
      select product_id, quantity from order_items where order_id = latest.id offset 0
    ) as item
    group by product_id
  )
  select coalesce(json_object_agg(product_id, place order by product_id), '{}')::text as ranking from ranked`;

/** `json_agg` of no rows is null. */
interface ContentRow {
  categories: CategoryView[] | null;
  products: ProductRow[] | null;
}

type ProductRow = Omit<ProductView, 'facts'> & Pick<CatalogueProduct, 'featured' | 'newest'> & { facts: string };

/**
 * @param content from {@link readCatalogue}
 * @param ranking from {@link readRanking}
 * @throws {RangeError} for a number that is not the one in the database
 */
export function parseContent(content: string, ranking: string): CatalogueContent {
  const { categories, products } = JSON.parse(content) as ContentRow;
  const places = JSON.parse(ranking) as Record<string, number>;
  return {
    categories: categories ?? [],
    products: (products ?? []).map((row) => toProduct(row, places[row.id] ?? null)),
  };
}

function toProduct(row: ProductRow, salesPlace: number | null): CatalogueProduct {
  return {
    ...row,
    // `connect` checks the integers of rows, and not those in JSON.
    id: safeInteger(row.id),
    priceCents: safeInteger(row.priceCents),
    facts: parseFacts(row.facts),
    salesPlace,
    foldedName: foldAccents(row.name),
    ...searchedText(`${row.name} ${row.summary} ${row.category.name}`),
  };
}

/** @param text one fact a line, as `Peso: 780 g`; a line without a colon is left out */
function parseFacts(text: string): ProductFact[] {
  return Array.from(text.matchAll(/^([^:\n]+): *(.+)$/gm), ([, name = '', value = '']) => ({ name, value }));
}
