import { bodyParser } from '@koa/bodyparser';
import { malformed, unsupportedType } from '../shop/errors.ts';
import type { WebContext, WebMiddleware } from './state.ts';

/** Ten times a long checkout form. */
const LIMIT = '16kb';

/** Reads a posted form, and nothing but a form. A post without a body is an empty form. */
export function parseForm(): WebMiddleware {
  const parse = bodyParser({
    enableTypes: ['form'],
    formLimit: LIMIT,
    onError(error, ctx) {
      // A client that hangs up looks like any connection that breaks, the database's included.
      if (ctx.req.destroyed && !ctx.req.complete) throw malformed('O formulário não chegou inteiro.', { cause: error });
      throw error;
    },
  });
  return async function parseForm(ctx, next) {
    if (!hasBody(ctx)) return next();
    // A compressed form is no browser's, and could be a bomb.
    const isForm = ctx.is('application/x-www-form-urlencoded') !== false;
    if (!isForm || ctx.get('Content-Encoding') !== '') throw unsupportedType();
    await parse(ctx, next);
  };
}

/** `fetch(url, { method: 'POST' })` says that the length is 0, and nothing of a type. */
function hasBody(ctx: WebContext): boolean {
  return ctx.get('Transfer-Encoding') !== '' || Number(ctx.get('Content-Length')) > 0;
}

/** The fields of a parsed form. */
export function formOf(ctx: WebContext): Record<string, unknown> {
  const { body } = ctx.request;
  return typeof body === 'object' && body !== null ? { ...body } : {};
}
