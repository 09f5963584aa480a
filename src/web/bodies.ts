import { encode, negotiate } from '../http/encodings.ts';
import type { WebContext, WebMiddleware } from './state.ts';

/** A body that is kept as it is sent, and its headers. */
export interface ReadyBody {
  readonly body: Buffer;
  readonly headers: readonly (readonly [name: string, value: string])[];
}

export function sendReady(ctx: WebContext, { body, headers }: ReadyBody): void {
  for (const [name, value] of headers) ctx.res.setHeader(name, value);
  ctx.body = body;
}

/** A shorter text gains nothing: with its headers it fits into one packet either way. */
const SHORTEST_COMPRESSED = 1024;

/**
 * The last step of every answer, for HEAD too, which has the headers of GET (RFC 9110, section 9.3.2). A body that is a
 * text is compressed, one that is a buffer is sent as it is. A client that has the body already, by its ETag, gets 304.
 */
export function finishBodies(): WebMiddleware {
  return async function finishBodies(ctx, next) {
    await next();
    if (typeof ctx.body === 'string') compress(ctx, ctx.body);
    if (ctx.res.hasHeader('ETag')) sendIfChanged(ctx);
  };
}

function compress(ctx: WebContext, text: string): void {
  if (text.length < SHORTEST_COMPRESSED) return;
  ctx.vary('Accept-Encoding');
  const encoding = negotiate(ctx.req.headers['accept-encoding']);
  if (encoding === 'identity') return;
  ctx.set('Content-Encoding', encoding);
  ctx.body = encode(Buffer.from(text), encoding);
}

export function sendIfChanged(ctx: WebContext): void {
  const { req, res } = ctx;
  if (res.hasHeader('Set-Cookie')) {
    // For one visitor alone, and once.
    res.setHeader('Cache-Control', 'no-store');
    res.removeHeader('ETag');
  } else if (req.headers['if-none-match'] !== undefined && ctx.fresh) {
    ctx.status = 304;
    res.removeHeader('Content-Encoding');
  }
}
