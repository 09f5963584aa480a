import { forbidden, malformed } from '../shop/errors.ts';
import { maskCardNumbers } from '../shop/payment/card-numbers.ts';
import type { WebContext, WebMiddleware } from './state.ts';

/** Refuses an address that can't be decoded, or that holds NUL, which PostgreSQL takes in no text. */
export function refuseMalformedAddress(): WebMiddleware {
  return function refuseMalformedAddress(ctx, next) {
    if (!isReadable(ctx.url)) {
      // The error page reads the path too, and Koa's `path` throws for such an address.
      ctx.url = '/';
      throw malformed('Este link está incompleto ou foi digitado errado.');
    }
    return next();
  };
}

/** The path of most addresses. */
const NOTHING_ENCODED = /^\/[\w./-]*$/;

function isReadable(url: string): boolean {
  if (NOTHING_ENCODED.test(url)) return true;
  if (!url.startsWith('/') && !URL.canParse(url)) return false;
  const [path = ''] = url.split('?', 1);
  try {
    decodeURIComponent(path);
  } catch {
    return false;
  }
  return !url.includes('%00');
}

const REFUSED = 'Esse formulário veio de outro site, por isso não foi aceito.';
/** For the shop's operator, who sees the page earlier than the log. */
const BEHIND_A_PROXY =
  'Para quem cuida da loja: os cabeçalhos Origin (ou Referer) e Host dizem sites diferentes. Se isso acontece na própria loja, o proxy na frente dela não repassa o site original: configure nele “proxy_set_header Host $host” ($http_host, se a porta não for a 80 nem a 443), ou inicie a loja com TRUST_PROXY=true e faça o proxy enviar X-Forwarded-Host e X-Forwarded-Proto.';

/**
 * Refuses a form that another site's page posts with the visitor's cookies. Browsers say where a request comes from:
 * the newer ones in `Sec-Fetch-Site` (https://www.w3.org/TR/fetch-metadata/), the older ones in `Origin` (RFC 6454) or
 * in `Referer`. Another subdomain, or another port of this host, is another site's as well. A client that says nothing,
 * like curl or k6, has no visitor's cookies, and passes.
 */
export function refuseCrossSite(): WebMiddleware {
  return function refuseCrossSite(ctx, next) {
    const site = ctx.get('Sec-Fetch-Site');
    if (site !== '') {
      if (site !== 'same-origin' && site !== 'none') throw forbidden(REFUSED);
      return next();
    }
    const from = ctx.get('Origin') || ctx.get('Referer');
    if (from !== '') refuseOtherOrigin(ctx, originOf(from));
    return next();
  };
}

function refuseOtherOrigin(ctx: WebContext, from: string | null): void {
  const asked = originOf(`${ctx.protocol}://${ctx.host}`);
  if (from !== null && from === asked) return;
  throw forbidden(`${REFUSED} ${BEHIND_A_PROXY}`, {
    // For the log, so a card number in a host's name is masked.
    hint: maskCardNumbers(
      `the form's Origin or Referer is ${from ?? 'unreadable'}, but it was sent to ${asked ?? 'an unreadable Host'}: if that is the shop itself, let the proxy set Host ("proxy_set_header Host $host", with another port than 80 and 443 $http_host), or X-Forwarded-Host and X-Forwarded-Proto with TRUST_PROXY=true`,
      '[digits]',
    ),
  });
}

/** Scheme, host, and port unless it is the scheme's own; null when the URL is no page's, such as the origin `null`. */
function originOf(url: string): string | null {
  if (!/^https?:\/\//i.test(url) || !URL.canParse(url)) return null;
  return new URL(url).origin;
}
