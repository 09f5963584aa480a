import { REQUESTS, UNMATCHED } from './pages.ts';

/*
 * The books: what k6 did beside what the shop's metrics counted in the same time. Each book is a Counter of k6, each of
 * its entries a tag. k6 adds what it does. At the end, the growth of the metrics is subtracted, so that 0 is left when
 * both are equal.
 *
 * After an answer with an error 5xx, or none, the shop may have done what it was asked: it finishes a form that it was late to
 * answer. Such an act may be in the metrics or not. So each entry is kept twice: at `least` what is sure, at `most` what
 * may be. They differ only where the shop was overloaded.
 */

/** What the metrics hold about each book, and whether it is of k6's doing. */
interface Book {
  readonly title: string;
  readonly metric: string;
  /** The entry that a series belongs to; null for a series that is none of the visitors'. */
  entryOf(labels: Labels, products: Products): string | null;
  readonly entries: readonly string[];
}

type Labels = Readonly<Record<string, string>>;
/** Ids by slug. */
export type Products = Readonly<Record<string, number>>;

/** Products that have an entry each; all others of a larger catalogue share one. */
export const MOST_PRODUCTS = 60;

/** What the journeys never do themselves, or do with an answer that they don't know. */
export const OTHERS = 'others';

/** Health checks and scrapes: others send them too. */
const FOR_PROGRAMS = ['/metrics', '/livez', '/readyz'];

/** A client can't tell `database` from `overload`: both are 503. */
const NOT_NOW = 'not_now';
/** What a request of the journeys can be. */
export const POSSIBLE_ERRORS = [
  'validation',
  'not_found',
  'conflict',
  'forbidden',
  'payment_declined',
  'rate_limited',
  NOT_NOW,
  'internal',
];

/** Statuses that a request of the journeys can have. */
const GET_STATUSES = [200, 302, 404, 500, 503];
const POST_STATUSES = [302, 404, 409, 422, 429, 500, 503];
const REQUEST_ENTRIES = [
  ...REQUESTS.flatMap((request) =>
    (request.startsWith('GET') ? GET_STATUSES : POST_STATUSES).map((status) => `${request} ${status}`),
  ),
  `GET ${UNMATCHED} 404`,
];

export const BOOKS = {
  additions: {
    title: 'Additions to a cart, by product',
    metric: 'shop_cart_additions_total',
    entries: Array.from({ length: MOST_PRODUCTS }, (_, index) => String(index + 1)),
    entryOf: ({ product = '' }, products) => String(products[product] ?? OTHERS),
  },
  orders: {
    title: 'Orders, by outcome',
    metric: 'shop_orders_total',
    entries: ['paid', 'declined', 'out_of_stock', 'failed'],
    entryOf: ({ outcome = '' }) => outcome,
  },
  payments: {
    title: 'Payments, by method and outcome',
    metric: 'shop_payments_total',
    entries: ['card', 'pix'].flatMap((method) =>
      ['approved', 'declined', 'expired', 'cancelled', 'failed'].map((outcome) => `${method} ${outcome}`),
    ),
    entryOf: ({ method, outcome }) => `${method} ${outcome}`,
  },
  errors: {
    title: 'Errors, by type',
    metric: 'shop_errors_total',
    // No request of k6 crashes a worker, so one that crashes during a test fails it.
    entries: [...POSSIBLE_ERRORS, 'worker_crash'],
    entryOf: ({ type = '', route = '' }) => {
      if (FOR_PROGRAMS.includes(route)) return null;
      return type === 'overload' || type === 'database' ? NOT_NOW : type;
    },
  },
  requests: {
    title: 'Requests, by route and status',
    metric: 'http_request_duration_seconds_count',
    entries: REQUEST_ENTRIES,
    entryOf: ({ method, route = '', status_code }) =>
      FOR_PROGRAMS.includes(route) ? null : `${method} ${route} ${status_code}`,
  },
} satisfies Record<string, Book>;

export type BookName = keyof typeof BOOKS;
export const BOOK_NAMES = Object.keys(BOOKS) as BookName[];

/** Values by entry. */
export type Counts = Readonly<Record<BookName, Readonly<Record<string, number>>>>;

/** Name of a book's Counter. */
export function counterOf(book: BookName): string {
  return `books_${book}`;
}

/** The entry's own name where it is listed, {@link OTHERS} where it is not. */
export function listed(book: BookName, entry: string): string {
  return BOOKS[book].entries.includes(entry) ? entry : OTHERS;
}

/** Every entry that a request may be counted under whose answer k6 has not seen. */
export function entriesOfRequest(request: string): string[] {
  return [...REQUEST_ENTRIES.filter((entry) => entry.replace(/ \d+$/, '') === request), OTHERS];
}

/** Whether the shop may have done what it was asked for, though it did not say so. */
export function isUnsure(status: number): boolean {
  return status === 0 || status >= 500;
}

/** Label `type` of the error that an answer with this status is; undefined when it is none. */
export function errorOf(status: number): string | undefined {
  const known: Record<number, string> = {
    403: 'forbidden',
    404: 'not_found',
    409: 'conflict',
    429: 'rate_limited',
    503: NOT_NOW,
  };
  if (status < 400) return undefined;
  return known[status] ?? (status < 500 ? 'validation' : 'internal');
}

/**
 * Reads the books from pages of metrics in Prometheus' text format, one for each instance: their values add up.
 *
 * @throws {Error} when a page is not of the shop
 */
export function readCounts(pages: readonly string[], products: Products): Counts {
  const counts: Record<BookName, Record<string, number>> = {
    additions: {},
    orders: {},
    payments: {},
    errors: {},
    requests: {},
  };
  for (const page of pages) {
    let found = 0;
    for (const line of page.split('\n')) {
      const [, metric = '', labels = '', value = ''] = /^(\w+)\{(.*)\} (\S+)/.exec(line) ?? [];
      const book = BOOK_NAMES.find((name) => BOOKS[name].metric === metric);
      if (!book) continue;
      found += 1;
      const { entryOf }: Book = BOOKS[book];
      const read = entryOf(readLabels(labels), products);
      if (read === null) continue;
      const entry = listed(book, read);
      counts[book][entry] = (counts[book][entry] ?? 0) + Number(value);
    }
    if (found === 0) throw new Error("a page of metrics holds none of the shop's");
  }
  return counts;
}

/** None of these labels has a quote or a backslash in it. */
function readLabels(text: string): Labels {
  return Object.fromEntries(
    Array.from(text.matchAll(/(\w+)="([^"]*)"/g), ([, name = '', value = '']) => [name, value]),
  );
}

/**
 * What each entry has grown by.
 *
 * @throws {Error} when one has fallen: the metrics have begun anew in between
 */
export function growth(before: Counts, after: Counts): { book: BookName; entry: string; value: number }[] {
  return BOOK_NAMES.flatMap((book) =>
    [...BOOKS[book].entries, OTHERS].map((entry) => {
      const value = (after[book][entry] ?? 0) - (before[book][entry] ?? 0);
      if (value < 0) throw new Error(`${BOOKS[book].metric} has fallen: the shop, or its primary, has started anew`);
      return { book, entry, value };
    }),
  );
}

/** `least` and `most`: what k6 has done. `shop`: what the metrics have grown by. */
export type Side = 'least' | 'most' | 'shop';

/** k6's own name of the sum of one side of an entry. */
function sumOf(book: BookName, entry: string, side: Side): string {
  return `${counterOf(book)}{entry:${entry},side:${side}}`;
}

/**
 * Every entry balances. Also without a threshold of its own, an entry's shop side must be named here: k6 keeps the sums of
 * those tags alone that thresholds name.
 */
export function bookThresholds(): Record<string, string[]> {
  return Object.fromEntries(
    BOOK_NAMES.flatMap((book) =>
      [...BOOKS[book].entries, OTHERS].flatMap((entry): [string, string[]][] => [
        [sumOf(book, entry, 'least'), ['count<=0']],
        [sumOf(book, entry, 'most'), ['count>=0']],
        [sumOf(book, entry, 'shop'), []],
      ]),
    ),
  );
}

/** One entry of the books at the end. */
export interface Line {
  readonly book: BookName;
  readonly entry: string;
  readonly least: number;
  readonly most: number;
  readonly shop: number;
  readonly isBalanced: boolean;
}

/**
 * The lines that are not all zero.
 *
 * @param countOf the count of one of k6's sums; undefined where nothing was added
 */
export function closeBooks(countOf: (sum: string) => number | undefined): Line[] {
  return BOOK_NAMES.flatMap((book) =>
    [...BOOKS[book].entries, OTHERS].flatMap((entry) => {
      const shop = countOf(sumOf(book, entry, 'shop')) ?? 0;
      const least = (countOf(sumOf(book, entry, 'least')) ?? 0) + shop;
      const most = (countOf(sumOf(book, entry, 'most')) ?? 0) + shop;
      const isBalanced = least <= shop && shop <= most;
      return most === 0 && shop === 0 ? [] : [{ book, entry, least, most, shop, isBalanced }];
    }),
  );
}
