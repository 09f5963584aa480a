import { malformed } from '../shop/errors.ts';
import type { WebMiddleware } from './state.ts';

/** Refuses an address that can't be decoded, or that holds NUL, which PostgreSQL takes in no text. */
export function refuseMalformedAddress(): WebMiddleware {
  return async function refuseMalformedAddress(ctx, next) {
    if (!isReadable(ctx.url)) {
      // The error page asks for the path too, which Koa can't tell of such an address without throwing.
      ctx.url = '/';
      throw malformed('Este endereço não pode ser lido.');
    }
    await next();
  };
}

function isReadable(url: string): boolean {
  if (!url.startsWith('/') && !URL.canParse(url)) return false;
  const [path = ''] = url.split('?', 1);
  try {
    decodeURIComponent(path);
  } catch {
    return false;
  }
  return !url.includes('%00');
}
