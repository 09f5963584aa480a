import { forbidden } from '../shop/errors.ts';
import type { WebContext, WebMiddleware } from './state.ts';

/**
 * Refuses a form that another site's page posts with the visitor's cookies. Browsers say where a request comes from
 * (https://www.w3.org/TR/fetch-metadata/, RFC 6454); a client that says nothing, like curl or k6, carries nobody's
 * cookies but its own and passes.
 */
export function refuseCrossSite(): WebMiddleware {
  return async function refuseCrossSite(ctx, next) {
    if (isCrossSite(ctx)) throw forbidden('Esse formulário veio de outro site, por isso não foi aceito.');
    await next();
  };
}

function isCrossSite(ctx: WebContext): boolean {
  const site = ctx.get('Sec-Fetch-Site');
  if (site !== '') return !['same-origin', 'same-site', 'none'].includes(site);
  const origin = ctx.get('Origin');
  if (origin === '') return false;
  const from = hostOf(origin);
  return from === null || from !== hostOf(`${origin.split(':', 1)[0]}://${ctx.host}`);
}

/** Host with its port, unless that is the scheme's own; null of what isn't a URL, as the origin `null`. */
function hostOf(url: string): string | null {
  return URL.canParse(url) ? new URL(url).host : null;
}
