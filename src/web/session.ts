import { randomUUID } from 'node:crypto';
import type { Knex } from 'knex';
import type Koa from 'koa';
import { createSession } from 'koa-session';
import { isDiskFull } from '../db/index.ts';
import { isUuid } from '../shop/input.ts';
import { FLASHES, type FlashCode, isFlashCode } from '../shop/sessions/flash.ts';
import { storeSession, visit } from '../shop/sessions/queries.ts';
import { chooseCookie, cookieName } from './cookie-choice.ts';
import type { RequestState, WebContext, WebMiddleware } from './state.ts';
import type { FlashView } from './views.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

/** What the signed cookie holds. */
interface SessionData {
  id?: string;
  flash?: FlashCode | undefined;
  save(): Promise<void>;
}

/**
 * Whether a person gets the answer to see: neither a HEAD, nor a page that a browser fetches before its user wants it
 * (https://wicg.github.io/nav-speculation/prefetch.html). Nothing is changed otherwise, so that no message is lost.
 */
export function isVisit(ctx: WebContext): boolean {
  if (ctx.method === 'HEAD') return false;
  return (
    ctx.method !== 'GET' || !['Sec-Purpose', 'Purpose', 'X-Moz'].some((name) => /^prefetch\b/i.test(ctx.get(name)))
  );
}

/** The session cookie: signed, so what it says was said by us. `app.keys` must be set. */
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

/** Makes sure that the visitor has a session with a row, and notes that they are here, if they may post (`limitRate`). */
export function greetVisitor(database: Knex, keys: readonly string[]): WebMiddleware {
  const name = cookieName(keys);
  return async function greetVisitor(ctx, next) {
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

/** Visitors who only look are served while the database has no room to note that they are here. */
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

export function takeFlash(ctx: WebContext): FlashView | null {
  const session = sessionOf(ctx);
  const { flash: code } = session;
  if (code === undefined || !isVisit(ctx)) return null;
  delete session.flash;
  return isFlashCode(code) ? FLASHES[code] : null;
}

function sessionOf(ctx: WebContext): SessionData {
  return ctx.session as SessionData;
}
