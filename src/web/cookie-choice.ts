import { createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

/** Version 1.0.0 used it alone, and its visitors keep their carts. */
const PREFIX = 'fake_shop';
/** More cookies than this are no browser's; each costs a signature for every key. */
const MOST_TRIED = 50;

/**
 * Name of the session cookie. Cookies know no ports, so two shops on one host would overwrite each other's: the name
 * tells them apart by their newest key, which all instances of one shop have in common.
 */
export function cookieName([newest = '']: readonly string[]): string {
  return `${PREFIX}_${createHmac('sha256', newest).update('cookie name').digest('hex').slice(0, 8)}`;
}

/**
 * Puts the visitor's own cookie first, where it is read: a browser may hold several of one name, set for other paths or by
 * other hosts of the domain, and one whose name was given by an earlier key. The first whose signature verifies is it.
 *
 * @param own {@link cookieName} of the keys
 * @returns whether it has to be given to the browser anew
 */
export function chooseCookie(request: IncomingMessage, own: string, keys: readonly string[]): boolean {
  const header = request.headers.cookie ?? '';
  const cookies = parseCookies(header).filter(({ name }) => name.startsWith(PREFIX));
  const named = (name: string) => cookies.filter((cookie) => cookie.name === name);
  const values = cookies.filter(({ name }) => !name.endsWith('.sig'));
  const candidates = [...named(own), ...values.filter(({ name }) => name !== own)].slice(0, MOST_TRIED);
  // As of nearly all requests: whether its signature verifies is koa-session's to find out, once.
  if (candidates.length === 1 && candidates[0]?.name === own && named(`${own}.sig`).length <= 1) return false;
  for (const { name, value } of candidates) {
    const signatures = named(`${name}.sig`);
    const key = keys.findIndex((key) =>
      signatures.some((given) => isEqual(given.value, sign(`${name}=${value}`, key))),
    );
    if (key === -1) continue;
    const renamed = `${own}=${value}`;
    request.headers.cookie = `${renamed}; ${own}.sig=${sign(renamed, keys[0] ?? '')}; ${header}`;
    return name !== own || key > 0;
  }
  return false;
}

function parseCookies(header: string): { name: string; value: string }[] {
  return header.split(';').map((pair) => {
    const at = pair.indexOf('=');
    const value = pair.slice(at + 1).trim();
    const isQuoted = value.length > 1 && value.startsWith('"') && value.endsWith('"');
    return { name: pair.slice(0, Math.max(0, at)).trim(), value: isQuoted ? value.slice(1, -1) : value };
  });
}

/** As Koa's cookies are signed (keygrip/index.js). */
function sign(data: string, key: string): string {
  return createHmac('sha1', key).update(data).digest('base64url');
}

function isEqual(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}
