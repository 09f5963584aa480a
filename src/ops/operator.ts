import type { Context, Middleware } from 'koa';
import { isLoopback, isLoopbackName } from '../http/request-host.ts';
import { plain } from './answers.ts';

/**
 * Refuses, with 403, all but the operator: requests that look into a worker, or harm it, are for the operator alone.
 *
 * @param token the token that was required before; null: only requests from this machine pass
 */
export function refuseStrangers(token: string | null): Middleware {
  return async function refuseStrangers(ctx, next) {
    const refusal = strangerIn(ctx, token);
    if (refusal) return plain(ctx, 403, refusal);
    await next();
  };
}

/** Headers of proxies: their requests come from this machine for others. */
const PROXY_HEADERS = ['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'x-real-ip', 'via'];

/**
 * Why a request is refused, in a sentence; empty for an operator's. A page of another site can make a browser on this
 * machine send requests, but not with the token, and not without saying that it is another site: newer browsers say it in
 * `Sec-Fetch-Site` (https://www.w3.org/TR/fetch-metadata/), older ones in the `Origin` of each form (RFC 6454).
 */
function strangerIn(ctx: Context, token: string | null): string {
  const site = ctx.get('sec-fetch-site');
  const isOtherSite = site === '' ? hasOtherOrigin(ctx) : site !== 'none' && site !== 'same-origin';
  if (isOtherSite) return 'Pages of other sites may not ask for this.';
  const isForwarded = PROXY_HEADERS.some((name) => ctx.get(name) !== '');
  if (token !== null || (isLoopback(ctx.req.socket.remoteAddress ?? '') && isLoopbackName(ctx.host) && !isForwarded)) {
    return '';
  }
  return 'Without METRICS_TOKEN, this is answered only on the machine of the shop, by the name localhost. Set METRICS_TOKEN, or use: ssh -L 9464:127.0.0.1:9464 <machine>.';
}

/** Hosts are compared, and not schemes: a proxy may have taken the encryption off. */
function hasOtherOrigin(ctx: Context): boolean {
  const origin = ctx.get('origin');
  return origin !== '' && (!URL.canParse(origin) || new URL(origin).host !== ctx.host);
}
