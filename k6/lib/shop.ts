import { check, fail } from 'k6';
import http, { type RefinedParams, type RefinedResponse } from 'k6/http';

/** Where the shop is: `k6 run -e BASE_URL=http://127.0.0.1:5000 k6/smoke.ts`. */
const baseUrl = (__ENV.BASE_URL ?? 'http://127.0.0.1:5000').replace(/\/$/, '');

export type Page = RefinedResponse<'text'>;
type Params = RefinedParams<'text'>;

/** Asks for a page and checks that it came. `name` groups addresses that differ in an id only. */
export function get(path: string, name: string): Page {
  return expectStatus(http.get(baseUrl + path, params(name, 200)), name, 200);
}

/** Sends a form and follows where it leads, as a browser does. `status` is that of the page at the end. */
export function post(path: string, name: string, form: Record<string, string>, status = 200): Page {
  return expectStatus(http.post(baseUrl + path, form, params(name, status)), name, status);
}

/**
 * The last parts of the addresses below `prefix` that the page's links or forms lead to, each once, in their order.
 *
 * @param within a selector: only what is in there
 */
export function idsOf(page: Page, attribute: 'href' | 'action', prefix: string, within = 'body'): string[] {
  const ids = page
    .html(`${within} [${attribute}^="${prefix}"]`)
    .toArray()
    .map((element) => element.attr(attribute)?.slice(prefix.length) ?? '');
  return [...new Set(ids)];
}

/** One of them, by chance. Ends this shopper's visit when there is none. */
export function oneOf<T>(choices: readonly T[], what: string): T {
  const choice = choices[Math.floor(Math.random() * choices.length)];
  if (choice === undefined) fail(`the page offers no ${what}`);
  return choice;
}

/** Counts one check on a page and tells whether it held. */
export function holds(page: Page, what: string, test: (page: Page) => boolean): boolean {
  return check(page, { [what]: test });
}

function params(name: string, status: number): Params {
  // 302 leads from a form to the page at the end, and counts as a request of its own.
  return { responseType: 'text', tags: { name }, responseCallback: http.expectedStatuses(302, status) };
}

function expectStatus(page: Page, name: string, status: number): Page {
  if (!holds(page, `${name} answers ${status}`, (answer) => answer.status === status)) {
    fail(`${name} answered ${page.status}, not ${status}: ${page.error || page.url}`);
  }
  return page;
}
