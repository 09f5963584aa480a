import { randomUUID } from 'node:crypto';
import type { Knex } from 'knex';
import type Koa from 'koa';
import { createSession } from 'koa-session';
import { isUuid } from '../shop/input.ts';
import { FLASHES, type FlashCode, isFlashCode } from '../shop/sessions/flash.ts';
import { storeSession, visit } from '../shop/sessions/queries.ts';
import type { RequestState, WebContext, WebMiddleware } from './state.ts';
import type { FlashView } from './views.ts';

const COOKIE = 'fake_shop';
const DAY_MS = 24 * 60 * 60 * 1000;

/** What the signed cookie holds. */
interface SessionData {
  id?: string;
  flash?: FlashCode | undefined;
  save(): Promise<void>;
}

/** The session cookie: signed, so what it says was said by us. `app.keys` must be set. */
export function sessionCookie(app: Koa<RequestState>): WebMiddleware {
  return createSession(
    {
      key: COOKIE,
      maxAge: 30 * DAY_MS,
      renew: true,
      httpOnly: true,
      sameSite: 'lax',
      valid: (_ctx, data: { id?: unknown }) => isUuid(data.id),
    },
    app,
  );
}

/** Makes sure that the visitor has a session with a row, and notes that they are here, if they may post (`limitRate`). */
export function greetVisitor(database: Knex): WebMiddleware {
  return async function greetVisitor(ctx, next) {
    const session = sessionOf(ctx);
    const known = session.id;
    const [visited] = await Promise.all([known === undefined ? null : visit(database, known), ctx.state.admission]);
    const id = known ?? randomUUID();
    if (!visited) await storeSession(database, id);
    session.id = id;
    ctx.state.visitor = { id, cartCount: visited?.cartCount ?? 0 };
    // `cookies` has signed it again with the newest key, but for this browser session only: say it whole.
    if (known !== undefined && ctx.response.headers['set-cookie'] !== undefined) await session.save();
    await next();
  };
}

/** A message for the next page that the visitor is shown. */
export function setFlash(ctx: WebContext, code: FlashCode): void {
  sessionOf(ctx).flash = code;
}

export function takeFlash(ctx: WebContext): FlashView | null {
  const session = sessionOf(ctx);
  const { flash: code } = session;
  if (code === undefined) return null;
  delete session.flash;
  return isFlashCode(code) ? FLASHES[code] : null;
}

function sessionOf(ctx: WebContext): SessionData {
  return ctx.session as SessionData;
}
