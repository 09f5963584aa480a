import type { Knex } from 'knex';
import { categories, products } from './catalogue.ts';

/**
 * Inserts the missing categories and products. Existing rows stay as they are, stock and prices included, but for
 * facts that they never had. So it can run at every start.
 */
export async function seed(knex: Knex): Promise<void> {
  await knex.transaction(async (trx) => {
    await trx('categories')
      .insert(categories.map(({ slug, name }, index) => ({ slug, name, position: index + 1 })))
      .onConflict()
      .ignore();
    const rows = await trx('categories').select<{ id: number; slug: string }[]>('id', 'slug');
    const categoryIds = new Map(rows.map(({ id, slug }) => [slug, id]));

    await trx('products')
      .insert(
        products.map((product, index) => ({
          id: index + 1,
          slug: product.slug,
          name: product.name,
          summary: product.summary,
          description: product.description,
          facts: product.facts,
          price_cents: product.priceCents,
          stock: product.stock,
          picture: product.picture,
          featured: product.featured,
          category_id: categoryIds.get(product.category),
        })),
      )
      .onConflict()
      .ignore();
    // Rows of a release that knew no facts. A product that is to show none has the empty text.
    await trx.raw(
      `update products set facts = given.facts
       from jsonb_to_recordset(:given) as given(slug text, facts text)
       where products.slug = given.slug and products.facts is null`,
      { given: JSON.stringify(products.map(({ slug, facts }) => ({ slug, facts }))) },
    );
    // Explicit ids do not advance the sequence; without this, the next inserted product would get id 1.
    await trx.raw(
      `select setval('products_id_seq', greatest((select max(id) from products), (select last_value from products_id_seq)))`,
    );
  });
}
