import type { IncomingMessage } from 'node:http';
import { BlockList, isIPv6 } from 'node:net';
import { hostInUrl } from '../config.ts';

/** Why a request is refused before any application sees it. */
export interface Refusal {
  readonly status: 400 | 421;
  /** One sentence for the client. */
  readonly reason: string;
}

const malformed = (reason: string): Refusal => ({ status: 400, reason });

/**
 * A name or an address, in brackets where it has colons, and a port (RFC 9110, section 7.2). No comma: Koa reads the
 * part before it, as of a list.
 */
const HOST = /^(?:\[[\da-f:.]+\]|[\w.~!$&'()*+;=%-]+)(?::\d*)?$/i;

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/** Whether an address, without brackets, is this machine's own. */
export function isLoopback(address: string): boolean {
  return loopback.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
}

/**
 * Refuses a request whose host is not clear (RFC 9112, section 3.2): a proxy and the shop could understand two
 * different hosts.
 *
 * @param loopbackHost the name or address in METRICS_HOST if the server listens on the loopback: every other host that is
 *   not a name of the loopback is refused too. This stops DNS rebinding: a site lets its own name lead to 127.0.0.1 and
 *   reads this server through the visitor's browser. Null: any host is served
 */
export function refusalOf(request: IncomingMessage, loopbackHost: string | null): Refusal | null {
  const url = request.url ?? '';
  const { host = '' } = request.headers;
  if (hasSeveralHosts(request)) return malformed('A request has one Host header.');
  if (host === '' ? request.httpVersion !== '1.0' : !isHost(host)) {
    return malformed('The Host header must be a name or an address, and a port where needed.');
  }
  // The absolute form, which proxies use.
  if (!url.startsWith('/') && url !== '*') {
    const [scheme = ''] = /^https?:/i.exec(url) ?? [];
    if (scheme === '' || !URL.canParse(url)) return malformed('The address of this request cannot be read.');
    if (host !== '' && new URL(url).host !== new URL(`${scheme}//${host}`).host) {
      return malformed('The address and the Host header of this request name different hosts.');
    }
  }
  if (loopbackHost !== null && host !== '' && !isNameOf(loopbackHost, host)) {
    return {
      status: 421,
      reason:
        'This server listens on the loopback, so it answers only to localhost, 127.0.0.1 and the name in METRICS_HOST. To reach it by another name, set METRICS_HOST.',
    };
  }
  return null;
}

/** Node.js keeps the first; its `headersDistinct` would sort all headers for the one. */
function hasSeveralHosts({ rawHeaders }: IncomingMessage): boolean {
  let hosts = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string;
    if (name.length === 4 && name.toLowerCase() === 'host') hosts += 1;
  }
  return hosts > 1;
}

/** The last that was right: nearly all requests have the same, and parsing it takes a microsecond. */
let knownHost = 'localhost';

function isHost(host: string): boolean {
  if (host === knownHost) return true;
  const isRight = HOST.test(host) && URL.canParse(`http://${host}`);
  if (isRight) knownHost = host;
  return isRight;
}

function isNameOf(loopbackHost: string, host: string): boolean {
  return isLoopbackName(host) || nameIn(host) === nameIn(hostInUrl(loopbackHost));
}

/** Whether a Host header names the loopback. */
export function isLoopbackName(host: string): boolean {
  if (host === '') return false;
  const name = nameIn(host);
  return name === 'localhost' || isLoopback(name);
}

/** The name or address of a Host header as URLs compare it, without brackets and port. */
function nameIn(host: string): string {
  const { hostname } = new URL(`http://${host}`);
  return hostname.replace(/^\[|\]$|\.$/g, '');
}
