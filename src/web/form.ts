import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { malformed, tooLarge, unsupportedType } from '../shop/errors.ts';
import type { WebContext, WebMiddleware } from './state.ts';

/** Ten times a long checkout form. */
const LIMIT_BYTES = 16 * 1024;
/** Far more than any form of the shop has. */
const MAX_FIELDS = 100;
/** Forms are UTF-8, and so need no `charset` (https://url.spec.whatwg.org/#application/x-www-form-urlencoded). */
const CHARSET = /^(|utf-?8|us-ascii)$/i;
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const ESCAPED_BYTES = /(?:%[\da-f]{2})+/gi;

/** Reads a posted form in UTF-8, and nothing but a form. A post without a body is an empty form. */
export function parseForm(): WebMiddleware {
  return async function parseForm(ctx, next) {
    if (await hasBody(ctx)) {
      // Browsers send no compressed forms, and a compressed body could be a decompression bomb.
      const isForm = ctx.is('application/x-www-form-urlencoded') !== false && CHARSET.test(ctx.request.charset);
      if (!isForm || ctx.get('Content-Encoding') !== '') throw unsupportedType();
      ctx.state.form = readFields(await readBody(ctx));
    }
    return next();
  };
}

/** Whether a body in chunks is empty shows only when its first bytes have arrived, or its end. */
async function hasBody(ctx: WebContext): Promise<boolean> {
  if (ctx.get('Transfer-Encoding') === '') return Number(ctx.get('Content-Length')) > 0;
  const { req } = ctx;
  if (req.readableLength === 0 && !req.complete && !req.destroyed) {
    await once(req, 'readable').catch(() => {});
  }
  refuseHalf(req);
  return req.readableLength > 0;
}

async function readBody(ctx: WebContext): Promise<Buffer> {
  if (Number(ctx.get('Content-Length')) > LIMIT_BYTES) throw tooLarge();
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    // Leaves the request open after a form that is too large: its client gets an answer.
    for await (const chunk of ctx.req.iterator({ destroyOnReturn: false })) {
      bytes += chunk.length;
      if (bytes > LIMIT_BYTES) throw tooLarge();
      chunks.push(chunk);
    }
  } catch (error) {
    refuseHalf(ctx.req, error);
    throw error;
  }
  refuseHalf(ctx.req);
  return Buffer.concat(chunks);
}

/** A client that has hung up is no failure of the shop. */
function refuseHalf(request: IncomingMessage, cause?: unknown): void {
  if (request.destroyed && !request.complete) throw malformed('O formulário não chegou inteiro.', { cause });
}

/** A field that came twice is null, which no form accepts: nothing tells which of its values is meant. */
function readFields(body: Buffer): Record<string, string | null> {
  const text = readUtf8(body);
  // URLSearchParams takes a question mark at the start for the mark of a query.
  const given = new URLSearchParams(text.startsWith('?') ? `&${text}` : text);
  if (given.size > MAX_FIELDS) throw malformed('O formulário tem campos demais.');
  const fields = new Map<string, string | null>();
  for (const [name, value] of given) fields.set(name, fields.has(name) ? null : value);
  return Object.fromEntries(fields);
}

/** @throws {ShopError} where characters would be replaced, which stores another text than the client has sent */
function readUtf8(body: Buffer): string {
  try {
    const text = UTF8.decode(body);
    for (const [bytes] of text.matchAll(ESCAPED_BYTES)) decodeURIComponent(bytes);
    return text;
  } catch (cause) {
    throw malformed('O formulário não está em UTF-8.', { cause });
  }
}

/** The fields of a parsed form. */
export function formOf(ctx: WebContext): Readonly<Record<string, unknown>> {
  return ctx.state.form ?? {};
}
