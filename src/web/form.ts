import { once } from 'node:events';
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
      refuseHalf(ctx, error);
      throw error;
    },
  });
  return async function parseForm(ctx, next) {
    if (!(await hasBody(ctx))) return next();
    // Browsers send no compressed forms, and a compressed body could be a decompression bomb.
    const isForm = ctx.is('application/x-www-form-urlencoded') !== false;
    if (!isForm || ctx.get('Content-Encoding') !== '') throw unsupportedType();
    await parse(ctx, next);
  };
}

/** Whether a body in chunks is empty shows only when its first bytes have arrived, or its end. */
async function hasBody(ctx: WebContext): Promise<boolean> {
  if (ctx.get('Transfer-Encoding') === '') return Number(ctx.get('Content-Length')) > 0;
  const { req } = ctx;
  if (req.readableLength === 0 && !req.complete && !req.destroyed) {
    await once(req, 'readable').catch(() => {});
  }
  refuseHalf(ctx);
  return req.readableLength > 0;
}

/** A client that has hung up is no failure of the shop. */
function refuseHalf({ req }: Pick<WebContext, 'req'>, cause?: unknown): void {
  if (req.destroyed && !req.complete) throw malformed('O formulário não chegou inteiro.', { cause });
}

/** The fields of a parsed form. */
export function formOf(ctx: WebContext): Record<string, unknown> {
  const { body } = ctx.request;
  return typeof body === 'object' && body !== null ? { ...body } : {};
}
