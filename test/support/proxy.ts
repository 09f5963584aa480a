import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { whenDone } from './wait.ts';

/** A TCP proxy: a network between the shop and its database that can be as bad as networks get. */
export interface Proxy {
  /** The same address, by way of the proxy. */
  through(url: string): string;
  /** Lets every piece of data wait from now on, in each direction. */
  delay(milliseconds: number): void;
  /** Cuts all connections. New ones pass. */
  cut(): void;
  /** Swallows everything, and says nothing, on the connections that are open now. New ones pass. */
  forget(): void;
  /** Takes connections and lets nothing pass, in either direction. */
  block(): void;
  /** Lets pass what waits behind {@link block}. */
  unblock(): void;
}

export async function startProxy(t: TestContext, target: { port: number }): Promise<Proxy> {
  let delayMs = 0;
  let passage = Promise.resolve();
  let open = () => {};
  const links = new Set<{ forgotten: boolean; ends: readonly [Socket, Socket] }>();

  const server = createServer((client) => {
    const upstream = connect(target.port, '127.0.0.1');
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
        // One end broke, so the other does.
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
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;

  function cut(): void {
    for (const { ends } of links) for (const end of ends) end.destroy();
    links.clear();
  }
  whenDone(t, () => {
    open();
    cut();
    server.close();
  });

  return {
    through(url) {
      const changed = new URL(url);
      changed.port = String(port);
      return changed.href;
    },
    delay(milliseconds) {
      delayMs = milliseconds;
    },
    cut,
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
