import { check, sleep } from 'k6';
import exec from 'k6/execution';
import http, { type RefinedResponse } from 'k6/http';
import { Counter, Rate } from 'k6/metrics';
import {
  BOOK_NAMES,
  type BookName,
  type Counts,
  counterOf,
  entriesOfRequest,
  errorOf,
  growth,
  listed,
  MOST_PRODUCTS,
  OTHERS,
  POSSIBLE_ERRORS,
  type Products,
  readCounts,
  type Side,
} from './books.ts';
import { thinkTime } from './chance.ts';
import { listPagesOn, type Method, pathOf, productsOn, routeOf, slugOn } from './pages.ts';
import type { Settings } from './settings.ts';

/** An answer of the shop. */
export interface Answer {
  /** What was asked for; of a page, after its redirects. */
  readonly path: string;
  /** 0 without an answer. */
  readonly status: number;
  /** Whether the shop has sent it, and so has counted the request. Else it may have counted it, with any status. */
  readonly isOfShop: boolean;
  readonly body: string;
  /** Path that a redirect leads to. */
  readonly location: string | undefined;
}

/** Of `setup`, for every shopper and for `teardown`. */
export interface Opening {
  /** Every product of the shop's lists. */
  readonly products: Products;
  /** Null where the books are not kept. */
  readonly counts: Counts | null;
}

/** Ends a visit: the shop does not serve this shopper now, or the test is over. */
export class Leaves extends Error {
  override readonly name = 'Leaves';
}

export interface ShopOptions {
  readonly settings: Settings;
  /** Whether a 503 is no failure. */
  readonly isOverload: boolean;
}

/** The shop as a script's shoppers use it. Made once in the init context, since it makes k6's counters. */
export type Shop = ReturnType<typeof createShop>;

/** As browsers do. */
const HEADERS = { 'Accept-Encoding': 'gzip, deflate, br', 'Accept-Language': 'pt-BR' };
/** Longer than the shop needs for any answer. */
const TIMEOUT = '10s';
/** Pages of the list that `setup` reads at most. */
const MOST_LIST_PAGES = 40;
/** Of a page that the shop does not serve now. */
const RELOADS = 3;
/** The shop asks for 1 or 2. */
const RETRY_SECONDS = 2;
/** The shop may still work on what it has answered late, and the end of a Pix is counted a moment after it is seen. */
const SETTLE_SECONDS = 1;
const MOST_SETTLES = 30;

export function createShop({ settings, isOverload }: ShopOptions) {
  const { baseUrl, metricsUrls, metricsToken, thinkSeconds, account } = settings;
  const counters = Object.fromEntries(BOOK_NAMES.map((book) => [book, new Counter(counterOf(book))]));
  const unanswered = new Counter('unanswered');
  const unexpected = new Rate('unexpected');

  function add(book: BookName, entry: string, sides: readonly Side[], value: number): void {
    for (const side of sides) counters[book]?.add(value, { entry, side });
  }

  /** Writes down what k6 did. @param isSure whether the shop has surely done it too */
  function note(book: BookName, entry: string, isSure = true): void {
    if (account) add(book, listed(book, entry), isSure ? ['least', 'most'] : ['most'], 1);
  }

  function send(method: Method, path: string, form: Form | null, expected: readonly number[]): Answer {
    const request = `${method} ${routeOf(method, path)}`;
    const response = http.request(method, baseUrl + path, form, {
      headers: HEADERS,
      redirects: 0,
      responseType: 'text',
      responseCallback: http.expectedStatuses(...expected),
      tags: { name: request },
      timeout: TIMEOUT,
    });
    const { status, headers } = response;
    unexpected.add(!expected.includes(status) && !(isOverload && status === 503));
    // A balancer answers with an error of its own when it reaches no worker, or has lost one. The shop's have an id.
    const isOfShop = status !== 0 && (status < 500 || headers['X-Request-Id'] !== undefined);
    if (!isOfShop) {
      unanswered.add(1);
      for (const entry of entriesOfRequest(request)) note('requests', entry, false);
    } else {
      note('requests', `${request} ${status}`);
    }
    const location = headers.Location === undefined ? undefined : pathOf(headers.Location);
    return { path, status, isOfShop, body: response.body ?? '', location };
  }

  /** Notes the error that an answer is, or may be. @param type where the status alone does not tell it */
  function noteError({ status, isOfShop }: Answer, type = errorOf(status)): void {
    if (!isOfShop) for (const possible of POSSIBLE_ERRORS) note('errors', possible, false);
    else if (type !== undefined) note('errors', type);
  }

  /**
   * Opens a page, follows its redirects, and looks at it for a while. Opens it again where the shop says "not now".
   *
   * @param expected statuses of a page that ends where it should
   * @throws {Leaves} when the shop answers otherwise
   */
  function open(path: string, expected: readonly number[] = [200]): Answer {
    for (let reloads = RELOADS; ; reloads--) {
      const answer = send('GET', path, null, [302, ...expected]);
      noteError(answer);
      if (answer.status === 302 && answer.location !== undefined) return open(answer.location, expected);
      if (expected.includes(answer.status)) {
        think(1);
        return answer;
      }
      if (answer.status !== 503 || reloads === 0) throw new Leaves(`GET ${path} answered ${answer.status}`);
      wait();
    }
  }

  /** Sends a form. What it leads to is not opened. Its errors are the caller's to note. */
  function submit(path: string, form: Form, expected: readonly number[] = [302]): Answer {
    return send('POST', path, form, expected);
  }

  /** Looks at a page. @param times as long as usual */
  function think(times: number): void {
    if (!isOver()) sleep(times * thinkTime(thinkSeconds, Math.random));
  }

  /** Waits before another attempt, also when the time of the test is over. */
  function wait(): void {
    sleep(RETRY_SECONDS);
  }

  /** The time of the test is over: who has not begun to pay leaves. */
  function isOver(): boolean {
    return exec.scenario.progress >= 1;
  }

  /** Reads every product of the list, and the metrics. */
  function openBooks(): Opening {
    const products = findProducts();
    return { products, counts: account ? readCounts(scrape(), products) : null };
  }

  function findProducts(): Products {
    const ids = new Set<number>();
    const todo = ['/shop'];
    const seen = new Set(todo);
    for (let path = todo.shift(); path !== undefined && seen.size <= MOST_LIST_PAGES; path = todo.shift()) {
      const html = fetchText(baseUrl + path);
      for (const id of productsOn(html)) ids.add(id);
      for (const next of listPagesOn(html)) {
        if (seen.has(next)) continue;
        seen.add(next);
        todo.push(next);
      }
    }
    if (ids.size === 0) throw new Error(`${baseUrl}/shop lists no product: is it the shop?`);
    const slugs = [...ids].slice(0, MOST_PRODUCTS).map((id) => [slugOn(fetchText(`${baseUrl}/detail/${id}`)), id]);
    return Object.fromEntries(slugs);
  }

  /** Subtracts what the metrics have counted, once they are at rest. */
  function closeBooks({ products, counts }: Opening): void {
    if (!counts) return;
    let last = '';
    let after = readCounts(scrape(), products);
    for (let settles = MOST_SETTLES; settles > 0 && last !== JSON.stringify(after); settles--) {
      last = JSON.stringify(after);
      sleep(SETTLE_SECONDS);
      after = readCounts(scrape(), products);
    }
    for (const { book, entry, value } of growth(counts, after)) {
      add(book, entry, ['least', 'most'], -value);
      add(book, entry, ['shop'], value);
    }
  }

  function scrape(): string[] {
    const headers = { Accept: 'text/plain', ...(metricsToken && { Authorization: `Bearer ${metricsToken}` }) };
    return metricsUrls.map((url) => fetchText(url, headers));
  }

  function entryOfProduct(id: number, products: Products): string {
    return Object.values(products).includes(id) ? String(id) : OTHERS;
  }

  return { open, submit, think, wait, isOver, note, noteError, entryOfProduct, openBooks, closeBooks };
}

export type Form = Readonly<Record<string, string>>;

/** For `setup` and `teardown`. @throws {Error} which says what to do */
function fetchText(url: string, headers: Record<string, string> = {}): string {
  const response: RefinedResponse<'text'> = http.get(url, {
    headers,
    responseType: 'text',
    tags: { name: 'books' },
    timeout: TIMEOUT,
  });
  if (response.status === 200) return response.body ?? '';
  const advice =
    {
      0: 'start the shop, or name its address in BASE_URL',
      401: "set SHOP_METRICS_TOKEN to the shop's METRICS_TOKEN",
      404: "name the primary's address in SHOP_METRICS_URL, such as http://127.0.0.1:9464/metrics, or set ACCOUNT=false",
    }[response.status] ?? 'is it the shop?';
  throw new Error(`${url} answered ${response.status || 'nothing'}: ${advice}.`);
}

/** Records a check of a page. @returns whether it passed */
export function holds(what: string, isTrue: boolean): boolean {
  return check(null, { [what]: () => isTrue });
}
