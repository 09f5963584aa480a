import { z } from 'zod';
import { invalid } from '../errors.ts';
import { line } from '../input.ts';
import { holdsCardNumber } from '../payment/card-numbers.ts';

/** A search of a shopper. */
export interface Search {
  /** As typed. */
  q: string;
  /** The words of `q`; a product must have them all. */
  words: string[];
  /** Slug, or empty for all. */
  category: string;
  sort: Sort;
  /** From 1. */
  page: number;
}

export interface Sort {
  value: string;
  label: string;
  columns: { column: string; order: 'asc' | 'desc' }[];
}

const DEFAULT_SORT: Sort = {
  value: 'featured',
  label: 'Destaques',
  columns: [
    { column: 'products.featured', order: 'desc' },
    { column: 'products.id', order: 'asc' },
  ],
};

/** The orders of a product list; the id settles ties, so that no product is on two pages. */
export const SORTS: readonly Sort[] = [
  DEFAULT_SORT,
  sort('price_asc', 'Menor preço', 'products.price_cents', 'asc'),
  sort('price_desc', 'Maior preço', 'products.price_cents', 'desc'),
  sort('name', 'Nome, de A a Z', 'products.name', 'asc'),
  sort('newest', 'Novidades', 'products.created_at', 'desc'),
];

const MAX_WORDS = 8;

const searchSchema = z.object({
  q: line(100).default(''),
  category: z.string().max(60).default(''),
  sort: z
    .string()
    .default('')
    .transform((value) => (value === '' ? DEFAULT_SORT : SORTS.find((sort) => sort.value === value)))
    .refine((sort) => sort !== undefined),
  page: z
    .union([
      z.literal('').transform(() => 1),
      z
        .string()
        .regex(/^[1-9]\d{0,5}$/)
        .transform(Number),
    ])
    .default(1),
});

/** @throws {ShopError} 422 for values that no link and no form of the shop sends */
export function parseSearch(query: Readonly<Record<string, unknown>>): Search {
  const parsed = searchSchema.safeParse(query);
  if (!parsed.success) {
    throw invalid('Não entendemos essa busca. Confira o texto, a ordem e o número da página.');
  }
  const { q, category, sort, page } = parsed.data;
  // The page would show it, and every link on it would carry it on.
  if (holdsCardNumber(q)) throw invalid('Isso parece o número de um cartão, por isso não o procuramos.');
  return { q, words: q.split(/\s+/).filter(Boolean).slice(0, MAX_WORDS), category, sort: sort ?? DEFAULT_SORT, page };
}

/** Address of a page of a search, without parameters that have their default. */
export function searchUrl(search: Search, page: number): string {
  const query = new URLSearchParams();
  if (search.q) query.set('q', search.q);
  if (search.category) query.set('category', search.category);
  if (search.sort !== DEFAULT_SORT) query.set('sort', search.sort.value);
  if (page > 1) query.set('page', String(page));
  return query.size > 0 ? `/shop?${query}` : '/shop';
}

/** Latin letters that are no letter with an accent, so that Unicode does not decompose them. */
export const WITHOUT_ACCENT = { capitals: 'ÆÐØÞĐĦŁŊŒŦ', small: 'æðøþđħłŋœŧ' };

/** Lower case without accents: `Café` is found by `cafe`. The same letters as in the SQL of `searchProducts`. */
export function foldAccents(text: string): string {
  return text
    .normalize('NFD')
    .replace(/[\u0300-\u036f]/g, '')
    .replace(/[A-ZÆÐØÞĐĦŁŊŒŦ]/g, (letter) => letter.toLowerCase());
}

function sort(value: string, label: string, column: string, order: 'asc' | 'desc'): Sort {
  return {
    value,
    label,
    columns: [
      { column, order },
      { column: 'products.id', order },
    ],
  };
}
