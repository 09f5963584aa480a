import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { whenDone } from './wait.ts';

/** A TCP proxy before a database: a network between shop and database that a test can break. */
export interface Proxy {
  /** The database's URL through the proxy. */
  readonly url: string;
  /** Delays each piece of data from now on, in each direction. */
  delay(milliseconds: number): void;
  /** Cuts all connections. New connections pass. */
  cut(): void;
  /** Cuts all connections, and each new one, until {@link accept}. */
  refuse(): void;
  accept(): void;
  /** Discards all data of the connections that are open now, and keeps them open. New connections pass. */
  forget(): void;
  /** Accepts connections but holds back all data, in both directions, until {@link unblock}. */
  block(): void;
  unblock(): void;
}

/**
 * Starts a proxy. It ends with the test, its connections too.
 *
 * @param databaseUrl the database to pass connections on to
 * @param port to listen on; default: any free one
 */
export async function startProxy(t: TestContext, databaseUrl: string, port = 0): Promise<Proxy> {
  const target = new URL(databaseUrl);
  let delayMs = 0;
  let refusing = false;
  let passage = Promise.resolve();
  let open = () => {};
  const links = new Set<{ forgotten: boolean; ends: readonly [Socket, Socket] }>();

  const server = createServer((client) => {
    if (refusing) {
      client.destroy();
      return;
    }
    const upstream = connect(Number(target.port), target.hostname);
    const link = { forgotten: false, ends: [client, upstream] as const };
    links.add(link);

    async function carry(from: Socket, to: Socket): Promise<void> {
      try {
        for await (const data of from) {
          if (delayMs > 0) await sleep(delayMs);
          await passage;
          if (!link.forgotten) to.write(data);
        }
      } catch {
        // When one end breaks, the other is destroyed below.
      }
      await passage;
      if (link.forgotten) return;
      links.delete(link);
      to.destroy();
      from.destroy();
    }
    void carry(client, upstream);
    void carry(upstream, client);
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');

  function cut(): void {
    for (const { ends } of links) for (const end of ends) end.destroy();
    links.clear();
  }
  whenDone(t, () => {
    open();
    cut();
    server.close();
  });

  const through = new URL(target);
  through.port = String((server.address() as AddressInfo).port);
  return {
    url: through.href,
    delay(milliseconds) {
      delayMs = milliseconds;
    },
    cut,
    refuse() {
      refusing = true;
      cut();
    },
    accept() {
      refusing = false;
    },
    forget() {
      for (const link of links) link.forgotten = true;
    },
    block() {
      passage = new Promise((resolve) => {
        open = resolve;
      });
    },
    unblock: () => open(),
  };
}
