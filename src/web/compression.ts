import compress from 'koa-compress';
import type { WebMiddleware } from './state.ts';

/** RFC 9110, section 12.5.3. */
const CODING = String.raw`[\w.*-]+(?:\s*;\s*q=(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?))?`;
const WELL_FORMED = new RegExp(String.raw`^\s*${CODING}(?:\s*,\s*${CODING})*\s*$`, 'i');

/** Compresses bodies that gain from it, for clients with a well-formed `Accept-Encoding`. */
export function compressBodies(): WebMiddleware {
  const squeeze = compress();
  return async function compressBodies(ctx, next) {
    const accepted = ctx.get('Accept-Encoding');
    // koa-compress throws when the header is garbled or leaves no encoding at all, not even the plain one.
    const understood = WELL_FORMED.test(accepted) && ctx.acceptsEncodings('gzip', 'identity') !== false;
    if (accepted !== '' && !understood) ctx.compress = false;
    await squeeze(ctx, next);
  };
}
