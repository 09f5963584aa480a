import { notFound } from '../errors.ts';
import { parseId } from '../input.ts';
import type { Answer, Route, Shop, ShopRequest } from '../route.ts';
import { findFeatured, findNewest, findProduct, findRelated, searchProducts } from './queries.ts';
import { parseSearch, SORTS, searchUrl } from './search.ts';

const FEATURED = 8;
const NEWEST = 6;
const RELATED = 4;
const PAGE_SIZE = 12;

export const catalogueRoutes: readonly Route[] = [
  { method: 'GET', path: '/', handle: showHome },
  { method: 'GET', path: '/shop', handle: showSearch },
  { method: 'GET', path: '/detail/:id', handle: showProduct },
  { method: 'GET', path: '/contact', handle: () => ({ page: 'contact', view: {} }) },
];

async function showHome(_request: ShopRequest, { database }: Shop): Promise<Answer> {
  const [featured, newest] = await Promise.all([findFeatured(database, FEATURED), findNewest(database, NEWEST)]);
  return { page: 'home', view: { featured, newest } };
}

async function showSearch({ query }: ShopRequest, { database, catalogue }: Shop): Promise<Answer> {
  const search = parseSearch(query);
  const categories = await catalogue.categories();
  if (search.category && !categories.some(({ slug }) => slug === search.category)) {
    throw notFound('Essa categoria não existe.');
  }
  const { products, total } = await searchProducts(database, search, PAGE_SIZE);
  if (products.length === 0 && search.page > 1) throw notFound('Essa página da lista não existe.');
  return {
    page: 'shop',
    view: {
      products,
      total,
      page: search.page,
      pages: Math.max(1, Math.ceil(total / PAGE_SIZE)),
      q: search.q,
      category: search.category,
      sort: search.sort.value,
      sorts: SORTS.map(({ value, label }) => ({ value, label })),
      pageUrl: (page) => searchUrl(search, page),
    },
  };
}

async function showProduct({ isVisit, params }: ShopRequest, { database, metrics }: Shop): Promise<Answer> {
  const id = parseId(params.id);
  const product = id === null ? null : await findProduct(database, id);
  if (!product) throw notFound('Esse produto não existe ou não é mais vendido.');
  const related = await findRelated(database, product, RELATED);
  if (isVisit) metrics.productViews.inc({ product: product.slug });
  return { page: 'detail', view: { product, related } };
}
