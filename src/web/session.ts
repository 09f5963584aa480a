import { createHmac, randomUUID, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Knex } from 'knex';
import type Koa from 'koa';
import { createSession } from 'koa-session';
import { LRUCache } from 'lru-cache';
import { CART_COUNT_MS } from '../deadlines.ts';
import type { WorkerMetrics } from '../instrument/worker-metrics.ts';
import type { Logger } from '../log.ts';
import { withDeadline } from '../promises.ts';
import { countUnits } from '../shop/cart/queries.ts';
import { ShopError } from '../shop/errors.ts';
import { isUuid } from '../shop/input.ts';
import { FLASHES, type Flash, type FlashCode, isFlashCode } from '../shop/sessions/flash.ts';
import { NOTE_INTERVAL_MS, type Visits } from '../shop/sessions/visits.ts';
import type { RequestState, WebContext, WebMiddleware } from './state.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
const MAX_AGE_MS = 30 * DAY_MS;
/** Then the cart's count is learned anew, and the cookie is renewed with it. */
const COUNT_MS = 30 * 60 * 1000;
/** With {@link SessionCookieOptions.mostRemembered}, this limits the memory of a worker to 5 MB. */
const LONGEST_REMEMBERED = 500;

/** Content of the signed cookie. koa-session adds when it expires. */
interface SessionData {
  id?: string;
  /** Units in the cart, for display alone. Cookies before version 1.1.0 lack it. */
  cart?: number;
  flash?: string;
  readonly _expire?: number;
  maxAge: number;
}

/** A cookie whose signature was verified. */
interface VerifiedCookie {
  readonly id: string;
  readonly cartCount: number | undefined;
  readonly flash: FlashCode | undefined;
  /** When the browser is to be sent a new one, by `Date.now()`. Until then the count is believed. */
  readonly renewAtMs: number;
  /** When the visit was last noted, by `performance.now()`. */
  notedMs: number;
}

export interface SessionCookieOptions {
  /** Newest first: it signs, all verify. */
  readonly keys: readonly string[];
  readonly visits: Visits;
  readonly metrics: Pick<WorkerMetrics, 'visitsWithoutCookie'>;
  /** Verified cookies that are not verified again; default 10000. */
  readonly mostRemembered?: number;
}

/**
 * Whether a person will see the answer: neither a HEAD, nor a page that a browser fetches in advance
 * (https://wicg.github.io/nav-speculation/prefetch.html). Other requests change nothing, so that no message is lost.
 */
export function isVisit({ req }: Pick<WebContext, 'req'>): boolean {
  if (req.method !== 'GET') return req.method !== 'HEAD';
  const { headers } = req;
  return ![headers['sec-purpose'], headers.purpose, headers['x-moz']].some((value) => isPrefetch(value));
}

function isPrefetch(value: string | string[] | undefined): boolean {
  return value !== undefined && /^prefetch\b/i.test(String(value));
}

export interface SessionCookie {
  /** Knows the visitor, and writes the cookie. */
  readonly middleware: WebMiddleware;
  /**
   * Units in the visitor's cart as the cookie says, for a page that was refused before the visitor was known; undefined
   * where the cookie does not say it. Writes no cookie.
   */
  cartCountOf(ctx: WebContext): number | undefined;
}

/**
 * Knows the visitor by the session cookie, and gives every other visitor an id. The cookie is signed, so its content
 * comes from the shop. It is sent only where it says something new, or is to be renewed; never with an answer that is no
 * visit. It is written at the end, also when the page fails or misses its deadline.
 *
 * Costs no query, and for a cookie that was verified before no signature either: what the header says is remembered.
 *
 * @param app gets the keys: no other cookie is signed
 */
export function sessionCookie(
  app: Koa<RequestState>,
  { keys, visits, metrics, mostRemembered = 10_000 }: SessionCookieOptions,
): SessionCookie {
  app.keys = createKeyring(keys);
  const name = cookieName(keys);
  const saveSession: WebMiddleware = createSession(
    {
      key: name,
      maxAge: MAX_AGE_MS,
      httpOnly: true,
      sameSite: 'lax',
      valid: (_ctx, data: { id?: unknown }) => isUuid(data.id),
      // As koa-session's own, which are checked by zod at every call.
      encode: (data: object) => Buffer.from(JSON.stringify(data)).toString('base64'),
      decode: (text: string) => JSON.parse(Buffer.from(text, 'base64').toString()),
    },
    app,
  );
  /** By the whole `Cookie` header, since that decides which of its cookies is the visitor's. */
  const remembered = new LRUCache<string, VerifiedCookie>({ max: mostRemembered });

  function readCookie(ctx: WebContext): VerifiedCookie | null {
    const header = ctx.req.headers.cookie;
    if (!header?.includes(PREFIX)) return null;
    const known = remembered.get(header);
    if (known && Date.now() < known.renewAtMs) return known;
    const isNewToBrowser = chooseCookie(ctx.req, name, keys);
    const { id, cart, flash, _expire = 0, maxAge } = ctx.session as SessionData;
    if (id === undefined) return null;
    const countedUntilMs = _expire - maxAge + COUNT_MS;
    const cartCount = Date.now() < countedUntilMs ? cart : undefined;
    const cookie: VerifiedCookie = {
      id,
      cartCount,
      flash: isFlashCode(flash) ? flash : undefined,
      renewAtMs: isNewToBrowser ? 0 : countedUntilMs,
      notedMs: Number.NEGATIVE_INFINITY,
    };
    const isSettled = cartCount !== undefined && flash === undefined && !isNewToBrowser;
    if (isSettled && header.length <= LONGEST_REMEMBERED) remembered.set(header, cookie);
    return cookie;
  }

  function noteVisit(cookie: VerifiedCookie): void {
    const now = performance.now();
    if (now - cookie.notedMs >= NOTE_INTERVAL_MS && visits.note(cookie.id)) cookie.notedMs = now;
  }

  function cartCountOf(ctx: WebContext): number | undefined {
    try {
      return readCookie(ctx)?.cartCount;
    } finally {
      // Koa takes a cookie back whose signature is wrong.
      ctx.remove('Set-Cookie');
    }
  }

  async function middleware(ctx: WebContext, next: () => Promise<unknown>): Promise<unknown> {
    const cookie = readCookie(ctx);
    const visitor = cookie
      ? { id: cookie.id, cartCount: cookie.cartCount, flash: cookie.flash }
      : { id: randomUUID(), cartCount: 0, flash: undefined };
    ctx.state.visitor = visitor;
    if (!isVisit(ctx)) {
      try {
        return await next();
      } finally {
        // As in `cartCountOf`.
        ctx.remove('Set-Cookie');
      }
    }
    if (cookie) noteVisit(cookie);
    else metrics.visitsWithoutCookie.inc();
    try {
      await next();
    } catch (error) {
      if (!(error instanceof ShopError) || error.status >= 500) {
        // The cart may have changed all the same, or change when a late statement is committed.
        if (ctx.req.method === 'POST') visitor.cartCount = undefined;
      } else if (error.cartCount !== undefined) visitor.cartCount = error.cartCount;
      throw error;
    } finally {
      const { id, cartCount, flash } = visitor;
      const isSaid = cookie?.cartCount === cartCount && cookie?.flash === flash;
      if (!cookie || !isSaid || Date.now() >= cookie.renewAtMs) {
        await saveSession(ctx, async () => {
          ctx.session = { id, cart: cartCount, flash };
          // Makes koa-session save it even when it is only renewed.
          ctx.session.maxAge = MAX_AGE_MS;
        });
      }
    }
  }

  return { middleware, cartCountOf };
}

/** Counts that are asked for at a time, so that carts that can't be read leave connections to other pages. */
const MOST_LEARNING = 5;

/**
 * Waits until the visitor may post (`limitRate`). Learns the count of the cart where the cookie does not have it, so
 * that its next version does. A count that can't be learned is no reason to fail: it stays unknown until the next page.
 */
export function admitVisitor(database: Knex, log: Logger): WebMiddleware {
  let learning = 0;

  return function admitVisitor(ctx, next) {
    const { visitor, admission } = ctx.state;
    if (visitor?.cartCount !== undefined && admission === undefined) return next();
    return Promise.all([learnCartCount(ctx), admission]).then(next);
  };

  async function learnCartCount({ state: { visitor, requestId } }: WebContext): Promise<void> {
    if (!visitor || visitor.cartCount !== undefined || learning === MOST_LEARNING) return;
    learning += 1;
    const count = countUnits(database, visitor.id).finally(() => {
      learning -= 1;
    });
    try {
      visitor.cartCount = await withDeadline(count, CART_COUNT_MS, () => new Error(`no answer in ${CART_COUNT_MS} ms`));
    } catch (cause) {
      log.warn({ requestId, cause }, "the cart's units could not be counted, so the page does not show them");
    }
  }
}

/** A message for the next page that the visitor is shown. */
export function setFlash(ctx: WebContext, code: FlashCode): void {
  const { visitor } = ctx.state;
  if (visitor && isVisit(ctx)) visitor.flash = code;
}

/** The message that this page has to show. */
export function takeFlash(ctx: WebContext): Flash | null {
  const { visitor } = ctx.state;
  if (!visitor?.flash || !isVisit(ctx)) return null;
  const flash = FLASHES[visitor.flash];
  visitor.flash = undefined;
  return flash;
}

/** Version 1.0.0 used it alone, and its visitors keep their carts. */
const PREFIX = 'fake_shop';
/** No browser sends more cookies, or signatures of one name, than this. Each cookie costs a signature for every key. */
const MOST_TRIED = 50;

/**
 * Name of the session cookie. Browsers ignore the port, so two shops on one host would overwrite each other's cookie.
 * The name depends on the newest key, which all instances of one shop have in common.
 */
function cookieName([newest = '']: readonly string[]): string {
  return `${PREFIX}_${createHmac('sha256', newest).update('cookie name').digest('hex').slice(0, 8)}`;
}

/**
 * Puts the visitor's own cookie first, where Koa reads it. A browser may send several of one name, set for other paths
 * or by other hosts of the domain, and one whose name comes from an earlier key. The visitor's own is the first whose
 * signature verifies.
 *
 * @param own {@link cookieName} of the keys
 * @returns whether the browser must be sent a new one
 */
function chooseCookie(request: IncomingMessage, own: string, keys: readonly string[]): boolean {
  const header = request.headers.cookie ?? '';
  const cookies = parseCookies(header).filter(({ name }) => name.startsWith(PREFIX));
  const named = (name: string) => cookies.filter((cookie) => cookie.name === name);
  const values = cookies.filter(({ name }) => !name.endsWith('.sig'));
  const candidates = [...named(own), ...values.filter(({ name }) => name !== own)].slice(0, MOST_TRIED);
  // Nearly all headers are such: koa-session verifies the one signature.
  if (candidates.length === 1 && candidates[0]?.name === own && named(`${own}.sig`).length <= 1) return false;
  for (const { name, value } of candidates) {
    const signatures = named(`${name}.sig`).slice(0, MOST_TRIED);
    const key = keys.findIndex((key) => {
      const expected = sign(`${name}=${value}`, key);
      return signatures.some((given) => isEqual(given.value, expected));
    });
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

/**
 * Signs and verifies Koa's cookies as keygrip does, which takes three signatures to compare two (tsscmp's `index.js`).
 *
 * @param keys newest first
 */
function createKeyring(keys: readonly string[]) {
  function index(data: string, given: string): number {
    return keys.findIndex((key) => isEqual(given, sign(data, key)));
  }
  return {
    index,
    sign: (data: string) => sign(data, keys[0] ?? ''),
    verify: (data: string, given: string) => index(data, given) >= 0,
  };
}

/** As Koa's cookies are signed (keygrip/index.js). */
function sign(data: string, key: string): string {
  return createHmac('sha1', key).update(data).digest('base64url');
}

function isEqual(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}
