import type { WebContext } from './state.ts';

/**
 * Origin of the addresses in a page that must be absolute, such as `https://shop.example`; null where it is not known,
 * and then the page has no such addresses.
 */
export type OriginOf = (ctx: Pick<WebContext, 'host' | 'secure' | 'socket'>) => string | null;

/** Names of this machine. */
const LOCAL = ['localhost', '127.0.0.1'];

/**
 * Without `PUBLIC_URL`, the origin is known to a client that asks this machine by its own name and port, as after
 * `npm start`. No other `Host` is believed: pages are kept for all visitors, so it would be shown to others, or fill the
 * memory.
 *
 * @param publicUrl an origin, or null
 */
export function createOriginOf(publicUrl: string | null): OriginOf {
  if (publicUrl !== null) return () => publicUrl;
  return function originOf({ host, secure, socket }) {
    const isLocal = LOCAL.some((name) => host === `${name}:${socket.localPort}`);
    return isLocal ? `${secure ? 'https' : 'http'}://${host}` : null;
  };
}
