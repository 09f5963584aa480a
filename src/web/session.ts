import { createHmac, randomUUID, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Knex } from 'knex';
import type Koa from 'koa';
import { createSession } from 'koa-session';
import { isDiskFull } from '../db/index.ts';
import { isUuid } from '../shop/input.ts';
import { FLASHES, type Flash, type FlashCode, isFlashCode } from '../shop/sessions/flash.ts';
import { storeSession, visit } from '../shop/sessions/queries.ts';
import type { RequestState, WebContext, WebMiddleware } from './state.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

/** Content of the signed cookie. */
interface SessionData {
  id?: string;
  flash?: FlashCode | undefined;
  save(): Promise<void>;
}

/**
 * Whether a person will see the answer: neither a HEAD, nor a page that a browser fetches in advance
 * (https://wicg.github.io/nav-speculation/prefetch.html). Other requests change nothing, so that no message is lost.
 */
export function isVisit(ctx: WebContext): boolean {
  if (ctx.method === 'HEAD') return false;
  return (
    ctx.method !== 'GET' || !['Sec-Purpose', 'Purpose', 'X-Moz'].some((name) => /^prefetch\b/i.test(ctx.get(name)))
  );
}

/** The session cookie. It is signed, so its content comes from the shop. `app.keys` must be set. */
export function sessionCookie(app: Koa<RequestState>, keys: readonly string[]): WebMiddleware {
  const keepSession: WebMiddleware = createSession(
    {
      key: cookieName(keys),
      maxAge: 30 * DAY_MS,
      renew: true,
      httpOnly: true,
      sameSite: 'lax',
      valid: (_ctx, data: { id?: unknown }) => isUuid(data.id),
    },
    app,
  );
  return async function sessionCookie(ctx, next) {
    try {
      await keepSession(ctx, next);
    } finally {
      if (!isVisit(ctx)) ctx.remove('Set-Cookie');
    }
  };
}

/**
 * Makes sure that the visitor has a session with a row, and notes that they are here, if they may post (`limitRate`).
 */
export function ensureSession(database: Knex, keys: readonly string[]): WebMiddleware {
  const name = cookieName(keys);
  return async function ensureSession(ctx, next) {
    const isNewToBrowser = chooseCookie(ctx.req, name, keys);
    const session = sessionOf(ctx);
    const known = session.id;
    const [visited] = await Promise.all([
      known === undefined ? null : visitOrOnlyRead(database, known, isVisit(ctx)),
      ctx.state.admission,
    ]);
    const id = known ?? randomUUID();
    ctx.state.visitor = { id, cartCount: visited?.cartCount ?? 0 };
    if (isVisit(ctx)) {
      if (!visited) await storeSession(database, id);
      session.id = id;
      if (known !== undefined && isNewToBrowser) await session.save();
    }
    await next();
  };
}

/** Pages that only read are served while the database has no disk space to note the visit. */
async function visitOrOnlyRead(database: Knex, id: string, seen: boolean): ReturnType<typeof visit> {
  try {
    return await visit(database, id, { seen });
  } catch (error) {
    if (!seen || !isDiskFull(error)) throw error;
    return visit(database, id, { seen: false });
  }
}

/** A message for the next page that the visitor is shown. */
export function setFlash(ctx: WebContext, code: FlashCode): void {
  if (isVisit(ctx)) sessionOf(ctx).flash = code;
}

export function takeFlash(ctx: WebContext): Flash | null {
  const session = sessionOf(ctx);
  const { flash: code } = session;
  if (code === undefined || !isVisit(ctx)) return null;
  delete session.flash;
  return isFlashCode(code) ? FLASHES[code] : null;
}

function sessionOf(ctx: WebContext): SessionData {
  return ctx.session as SessionData;
}

/** Version 1.0.0 used it alone, and its visitors keep their carts. */
const PREFIX = 'fake_shop';
/** No browser sends more cookies than this; each costs a signature for every key. */
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
  // Nearly all requests are such: koa-session verifies the one signature.
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
