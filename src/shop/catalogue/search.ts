import { z } from 'zod';
import { invalid } from '../errors.ts';
import { line } from '../input.ts';
import { holdsCardNumber } from '../payment/card-numbers.ts';
import { formsOf } from './plurals.ts';

/** A search of a shopper. */
export interface Search {
  /** As typed. */
  q: string;
  /** The words of `q`; a product must have them all. */
  words: readonly SearchedWord[];
  /** Slug, or empty for all. */
  category: string;
  sort: Sort;
  /** From 1. */
  page: number;
}

/** A word, folded as {@link foldAccents} does. */
interface SearchedWord {
  text: string;
  /** It and its singulars. */
  forms: readonly string[];
}

/** What searches and orders read of a product. */
export interface Searchable {
  id: number;
  priceCents: number;
  category: { slug: string };
  featured: boolean;
  /** Place among all products from the newest, which is 1, to the oldest. */
  newest: number;
  /** Place among the products that were sold of late, from 1; equal sales share a place. Null when none was sold. */
  salesPlace: number | null;
  /** Its name, folded. */
  foldedName: string;
  /** All that words are looked for in, folded: from {@link searchedText}. */
  foldedText: string;
  /** The forms of all its words, each between spaces. */
  wordForms: string;
}

/** An order of a product list. */
export interface Sort {
  value: string;
  label: string;
  compare(a: Searchable, b: Searchable): number;
}

/** The usual order. */
export const BY_FEATURE: Sort = {
  value: 'featured',
  label: 'Destaques',
  compare: (a, b) => Number(b.featured) - Number(a.featured) || a.id - b.id,
};

/** After all that were sold. */
const UNSOLD = Number.MAX_SAFE_INTEGER;

export const BY_SALES: Sort = {
  value: 'best_sellers',
  label: 'Mais vendidos',
  compare: (a, b) => (a.salesPlace ?? UNSOLD) - (b.salesPlace ?? UNSOLD) || BY_FEATURE.compare(a, b),
};

export const BY_NEWNESS: Sort = { value: 'newest', label: 'Novidades', compare: (a, b) => a.newest - b.newest };

/** The orders of a product list; the id settles ties, so that no product is on two pages. */
export const SORTS: readonly Sort[] = [
  BY_FEATURE,
  BY_SALES,
  { value: 'price_asc', label: 'Menor preço', compare: (a, b) => a.priceCents - b.priceCents || a.id - b.id },
  { value: 'price_desc', label: 'Maior preço', compare: (a, b) => b.priceCents - a.priceCents || b.id - a.id },
  { value: 'name', label: 'Nome, de A a Z', compare: (a, b) => compareText(a.foldedName, b.foldedName) || a.id - b.id },
  BY_NEWNESS,
];

const MAX_WORDS = 8;

const searchSchema = z.object({
  q: line(100).default(''),
  category: z.string().max(60).default(''),
  sort: z
    .string()
    .default('')
    .transform((value) => (value === '' ? BY_FEATURE : SORTS.find((sort) => sort.value === value)))
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
  return {
    q,
    words: foldAccents(q)
      .split(/\s+/)
      .filter(Boolean)
      .slice(0, MAX_WORDS)
      .map((text) => ({ text, forms: formsOf(text) })),
    category,
    sort: sort ?? BY_FEATURE,
    page,
  };
}

/** What a search reads of a product's texts. */
export function searchedText(text: string): Pick<Searchable, 'foldedText' | 'wordForms'> {
  const foldedText = foldAccents(text);
  const words = foldedText.split(/[^\p{L}\p{N}-]+/u).flatMap((word) => [word, ...word.split('-')]);
  return { foldedText, wordForms: ` ${[...new Set(words.flatMap(formsOf))].join(' ')} ` };
}

/** Whether a search finds a product: by parts of words, as they are while being typed, or by words in singular or plural. */
export function finds({ words, category }: Search, product: Searchable): boolean {
  if (category !== '' && product.category.slug !== category) return false;
  return words.every(
    ({ text, forms }) =>
      product.foldedText.includes(text) || forms.some((form) => product.wordForms.includes(` ${form} `)),
  );
}

/** Address of a page of a search, without parameters that have their default. */
export function searchUrl(search: Search, page: number): string {
  const query = new URLSearchParams();
  if (search.q) query.set('q', search.q);
  if (search.category) query.set('category', search.category);
  if (search.sort !== BY_FEATURE) query.set('sort', search.sort.value);
  if (page > 1) query.set('page', String(page));
  return query.size > 0 ? `/shop?${query}` : '/shop';
}

/**
 * Lower case without accents: `Café` is found by `cafe`. Only ASCII and the Latin letters that Unicode does not
 * decompose into a letter and its accent are lowered.
 */
export function foldAccents(text: string): string {
  return text
    .normalize('NFD')
    .replace(/[\u0300-\u036f]/g, '')
    .replace(/[A-ZÆÐØÞĐĦŁŊŒŦ]/g, (letter) => letter.toLowerCase());
}

/** By code units, so that the order is the same on every machine. */
function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
