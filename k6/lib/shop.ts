import { check, fail } from 'k6';
import http, { type RefinedParams, type RefinedResponse } from 'k6/http';

/** Where the shop is: `k6 run -e BASE_URL=http://127.0.0.1:5000 k6/smoke.ts`. */
const baseUrl = (__ENV.BASE_URL ?? 'http://127.0.0.1:5000').replace(/\/$/, '');

export type Page = RefinedResponse<'text'>;
type Params = RefinedParams<'text'>;

/** Requests a page and checks its status. `name` groups addresses that differ only in an id. */
export function get(path: string, name: string): Page {
  return expectStatus(http.get(baseUrl + path, params(name, 200)), name, 200);
}

/** Posts a form and follows redirects, as a browser does. `status` is that of the last page. */
export function post(path: string, name: string, form: Record<string, string>, status = 200): Page {
  return expectStatus(http.post(baseUrl + path, form, params(name, status)), name, status);
}

/**
 * The last path segments of the page's links and forms below `prefix`, each once, in order.
 *
 * @param within a selector: only elements inside it count
 */
export function idsOf(page: Page, attribute: 'href' | 'action', prefix: string, within = 'body'): string[] {
  const ids = page
    .html(`${within} [${attribute}^="${prefix}"]`)
    .toArray()
    .map((element) => element.attr(attribute)?.slice(prefix.length) ?? '');
  return [...new Set(ids)];
}

/** A random choice. Ends this shopper's journey if there is none. */
export function oneOf<T>(choices: readonly T[], what: string): T {
  const choice = choices[Math.floor(Math.random() * choices.length)];
  if (choice === undefined) fail(`the page offers no ${what}`);
  return choice;
}

/** Records one check on a page and returns whether it passed. */
export function holds(page: Page, what: string, test: (page: Page) => boolean): boolean {
  return check(page, { [what]: test });
}

function params(name: string, status: number): Params {
  // The redirect after a form counts as a request of its own.
  return { responseType: 'text', tags: { name }, responseCallback: http.expectedStatuses(302, status) };
}

function expectStatus(page: Page, name: string, status: number): Page {
  if (!holds(page, `${name} answers ${status}`, (answer) => answer.status === status)) {
    fail(`${name} answered ${page.status}, not ${status}: ${page.error || page.url}`);
  }
  return page;
}
