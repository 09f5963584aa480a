import { randomUUID } from 'node:crypto';
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { holdsCardNumber } from '../shop/payment/card-numbers.ts';
import type { WebContext, WebMiddleware } from './state.ts';

/** Headers to which each proxy may append an entry. Koa reads `X-Forwarded-For` by its own `maxIpsCount`. */
const APPENDED = ['x-forwarded-host', 'x-forwarded-proto'];

/**
 * Keeps one entry of `X-Forwarded-Host` and `-Proto`: that of the outermost trusted proxy. Koa would take the first
 * entry, which a client can write itself. It is the entry at position `proxies`, counted from the right, or the
 * leftmost if there are fewer: a proxy may hand the header on without appending an entry.
 *
 * @param proxies trusted proxies in front; with 0, Koa reads none of these headers
 */
export function readForwarded(proxies: number): WebMiddleware {
  return function readForwarded(ctx, next) {
    if (proxies > 0) {
      for (const name of APPENDED) {
        const entries = ctx.get(name).split(',');
        ctx.req.headers[name] = entries.at(-Math.min(proxies, entries.length))?.trim();
      }
    }
    return next();
  };
}

/** These groups of an IPv6 address name its network; the owner chooses the rest freely (RFC 4291, section 2.5.4). */
const NETWORK_GROUPS = 4;

/** An address in brackets, or an IPv4 address, with a port that is new for every connection; quoted as in RFC 7239. */
const WITH_PORT = /^"?(?:\[(?<v6>[^\]]*)\]|(?<v4>[\d.]+))(?::\w*)?"?$/;

/**
 * The key under which a client is counted: its IPv4 address, or the network of its IPv6 address. A proxy that does not
 * name its client (`unknown`, nothing, no address) is counted as the client itself.
 */
export function clientOf(ctx: Pick<WebContext, 'ip' | 'socket'>): string {
  return ownerOf(ctx.ip) ?? ownerOf(ctx.socket.remoteAddress ?? '') ?? 'unknown';
}

function ownerOf(text: string): string | null {
  const { v6, v4 } = WITH_PORT.exec(text)?.groups ?? {};
  const [address = ''] = (v6 ?? v4 ?? text).split('%', 1);
  if (isIP(address) === 0) return null;
  // Makes of an IPv4 address that is written as IPv6 (::ffff:203.0.113.10) the IPv4 address.
  const parsed = ipaddr.process(address);
  return parsed instanceof ipaddr.IPv6 ? `${parsed.parts.slice(0, NETWORK_GROUPS).join(':')}::/64` : parsed.toString();
}

/** The form of a proxy's request ids; any other text could be an attempt to forge log lines. */
const SANE = /^[\w.:-]{8,64}$/;

/**
 * Gives the request its id and sends it to the client. A trusted proxy's id is taken over. A client's own is not: it
 * could give all its requests the id of another visitor's request.
 */
export function identifyRequest(): WebMiddleware {
  return function identifyRequest(ctx, next) {
    const given = ctx.app.proxy ? ctx.get('X-Request-Id') : '';
    const id = isSane(given) ? given : randomUUID();
    ctx.state.requestId = id;
    ctx.res.setHeader('X-Request-Id', id);
    return next();
  };
}

function isSane(id: string): boolean {
  if (!SANE.test(id)) return false;
  // Random letters and digits often hold the digits of a card number, but seldom in one piece.
  return /[a-z]/i.test(id) ? !id.split(/[^0-9a-z]+/i).some(isCardNumber) : !holdsCardNumber(id);
}

/** Whether digits are one card's number and nothing else. */
function isCardNumber(text: string): boolean {
  return /^\d+$/.test(text) && holdsCardNumber(text);
}
