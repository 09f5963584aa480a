import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Logger } from '../log.ts';
import { deferred } from '../promises.ts';

const SECOND = 1000;

/**
 * Prometheus and the programs that scrape like it send this with each scrape, so that a target can stop in time. A person
 * with curl does not, nor does a worker that shows `/metrics` on the shop's port.
 */
const SCRAPER_HEADER = 'x-prometheus-scrape-timeout-seconds';

/** Knows the servers that scrape this instance, so that the last counts reach them before it stops. */
export interface LastScrape {
  /** To be called for each request for the whole metrics page. */
  note(request: IncomingMessage, response: ServerResponse): void;
  /**
   * Resolves when each server that has scraped within the last `seconds` has got one more scrape that it asked for after
   * this call; after `seconds` in any case, and at once when no server scrapes.
   */
  wait(): Promise<void>;
}

/** @param seconds longer than the scrape interval; 0: no wait */
export function watchScrapes(seconds: number, log: Logger): LastScrape {
  /**
   * When each connection has got its latest scrape, by address and program. A server keeps its connection, so two servers
   * of one address are two connections. A server that makes a new one for each scrape leaves none.
   */
  const scrapers = new Map<string, { latest: number; connections: Map<Socket, number> }>();
  /** How many servers of each address and program still get their last scrape. */
  let awaited: Map<string, number> | null = null;
  const served = new WeakSet<Socket>();
  const done = deferred();

  function noteSent(name: string, socket: Socket): void {
    const scraper = scrapers.get(name) ?? { latest: 0, connections: new Map() };
    scraper.latest = performance.now();
    if (!socket.destroyed && !scraper.connections.has(socket)) {
      socket.once('close', () => scraper.connections.delete(socket));
    }
    if (!socket.destroyed) scraper.connections.set(socket, scraper.latest);
    scrapers.set(name, scraper);
    forgetOld();
  }

  /** A server whose address changes, as a pod's does, never comes back under the former one. */
  function forgetOld(): void {
    const oldestMs = performance.now() - seconds * SECOND;
    for (const [name, { latest }] of scrapers) if (latest < oldestMs) scrapers.delete(name);
  }

  function noteLast(name: string, socket: Socket): void {
    const missing = awaited?.get(name);
    if (missing === undefined || served.has(socket)) return;
    served.add(socket);
    if (missing > 1) awaited?.set(name, missing - 1);
    else awaited?.delete(name);
    if (awaited?.size === 0) done.resolve();
  }

  return {
    note(request, response) {
      if (request.headers[SCRAPER_HEADER] === undefined) return;
      const { socket } = request;
      const name = `${socket.remoteAddress} ${request.headers['user-agent'] ?? ''}`;
      const isLast = awaited !== null;
      response.once('finish', () => {
        if (response.statusCode !== 200) return;
        noteSent(name, socket);
        if (isLast) noteLast(name, socket);
      });
    },
    async wait() {
      const since = performance.now() - seconds * SECOND;
      const recent = (at: number) => at > since;
      awaited = new Map(
        [...scrapers]
          .filter(([, { latest }]) => recent(latest))
          .map(([name, { connections }]) => [name, Math.max(1, [...connections.values()].filter(recent).length)]),
      );
      if (awaited.size === 0) return;
      const scraped = { scrapers: [...awaited.keys()] };
      log.info(scraped, `the workers have ended: one more scrape is awaited, ${seconds} s at most`);
      const timer = setTimeout(done.resolve, seconds * SECOND);
      await done.promise;
      clearTimeout(timer);
      if (awaited.size > 0)
        log.warn({ scrapers: [...awaited.keys()] }, 'the last scrape did not come: see LAST_SCRAPE_SECONDS');
    },
  };
}
