import { parse } from 'node:querystring';
import { ShopError } from '../errors.ts';
import { parseSearch, searchUrl } from './search.ts';

/** With the characters alone that `URLSearchParams` writes, so without those of another host or a header. */
const LIST = /^\/shop(?:\?([\w*.+%&=-]*))?$/;
const HOME_OR_PRODUCT = /^\/(?:detail\/[1-9]\d{0,15})?$/;

/**
 * Reads which page of the catalogue a form was sent from: home, a list or a product. The address of a list is written
 * anew from its parameters, so it holds what {@link parseSearch} accepts and nothing else.
 *
 * @param from a path, as the field `from` of the cards' forms has it
 * @returns null for everything else, such as an address of another host
 */
export function parseReturnPath(from: unknown): string | null {
  if (typeof from !== 'string') return null;
  if (HOME_OR_PRODUCT.test(from)) return from;
  const [path, query = ''] = LIST.exec(from) ?? [];
  if (path === undefined) return null;
  try {
    const search = parseSearch(parse(query));
    return searchUrl(search, search.page);
  } catch (error) {
    if (error instanceof ShopError) return null;
    throw error;
  }
}
