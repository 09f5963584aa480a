import { notFound } from '../errors.ts';
import { parseId } from '../input.ts';
import type { Answer, Route, Shop, ShopRequest } from '../route.ts';
import type { HomeView, ProductCardView, ShopView } from '../views.ts';
import type { Catalogue } from './catalogue.ts';
import { BY_FEATURE, BY_NEWNESS, parseSearch, type Search, SORTS, searchUrl } from './search.ts';

const BEST_SELLERS = 4;
const FEATURED = 6;
const NEWEST = 6;
const RELATED = 4;
const PAGE_SIZE = 12;

export const catalogueRoutes: readonly Route[] = [
  // First, so that the page's metrics lie beside the views of products: see createRequestMetrics.
  { method: 'GET', path: '/detail/:id', isFromMemory: true, handle: showProduct },
  { method: 'GET', path: '/', isFromMemory: true, handle: showHome },
  { method: 'GET', path: '/shop', isFromMemory: true, handle: showSearch },
  { method: 'GET', path: '/contact', isFromMemory: true, handle: showContact },
];

function showHome(_request: ShopRequest, shop: Shop): Answer {
  const catalogue = shop.catalogue.current();
  return {
    page: 'home',
    address: '/',
    catalogue,
    view: () => homeView(catalogue),
  };
}

/** Shows no product twice: an add leads back to the card of its product. */
function homeView(catalogue: Catalogue): HomeView {
  const bestSellers = catalogue.bestSellers(BEST_SELLERS);
  const featured = catalogue.first(BY_FEATURE, FEATURED, bestSellers);
  const newest = catalogue.first(BY_NEWNESS, NEWEST, [...bestSellers, ...featured]);
  return { bestSellers, featured, newest };
}

function showContact(_request: ShopRequest, shop: Shop): Answer {
  return { page: 'contact', address: '/contact', catalogue: shop.catalogue.current(), view: () => ({}) };
}

function showSearch({ query }: ShopRequest, shop: Shop): Answer {
  const search = parseSearch(query);
  const catalogue = shop.catalogue.current();
  const listed = catalogue.count(search.category);
  if (listed === null) throw notFound('Essa categoria não existe.');
  // Every text makes another page, so that such pages would drive all others out of the memory.
  if (search.q !== '') return { page: 'shop', view: listView(search, catalogue.search(search)) };
  if (search.page > pagesOf(listed)) throw noSuchListPage();
  const view = () => listView(search, catalogue.search(search));
  return { page: 'shop', address: searchUrl(search, search.page), catalogue, view };
}

function listView(search: Search, found: readonly ProductCardView[]): ShopView {
  const pages = pagesOf(found.length);
  if (search.page > pages) throw noSuchListPage();
  return {
    products: found.slice((search.page - 1) * PAGE_SIZE, search.page * PAGE_SIZE),
    total: found.length,
    page: search.page,
    pages,
    q: search.q,
    category: search.category,
    sort: search.sort.value,
    sorts: SORTS.map(({ value, label }) => ({ value, label })),
    pageUrl: (page) => searchUrl(search, page),
  };
}

/** An empty list is a page too. */
function pagesOf(products: number): number {
  return Math.max(1, Math.ceil(products / PAGE_SIZE));
}

const noSuchListPage = () => notFound('Essa página da lista não existe.');

function showProduct({ isVisit, params }: ShopRequest, shop: Shop): Answer {
  const catalogue = shop.catalogue.current();
  const id = parseId(params.id);
  const product = id === null ? null : catalogue.product(id);
  if (!product) throw notFound('Esse produto não existe ou não é mais vendido.');
  if (isVisit) shop.metrics.productViews.inc({ product: product.slug });
  return {
    page: 'detail',
    address: `/detail/${product.id}`,
    catalogue,
    view: () => ({ product, related: catalogue.related(product, RELATED) }),
  };
}
