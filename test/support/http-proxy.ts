import { once } from 'node:events';
import { createServer, type IncomingMessage, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { whenDone } from './wait.ts';

/** A request at the proxy. */
export interface Passing {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

export interface ProxyAnswer {
  readonly status: number;
  /** Names and values alternate, as they were sent. */
  readonly headers?: readonly string[];
  readonly body?: Buffer;
}

/**
 * Starts an HTTP proxy before a shop, which can answer instead of it. It ends with the test.
 *
 * @param target the shop's origin
 * @param answer for each request; `pass` sends one to the shop
 * @returns its own origin
 */
export async function startHttpProxy(
  t: TestContext,
  target: string,
  answer: (passing: Passing, pass: (passing: Passing) => Promise<ProxyAnswer>) => Promise<ProxyAnswer> | ProxyAnswer,
): Promise<string> {
  async function pass({ method, path, headers, body }: Passing): Promise<ProxyAnswer> {
    const sent = request(new URL(path, target), { method, headers }).end(body);
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    return { status: response.statusCode as number, headers: response.rawHeaders, body: await buffer(response) };
  }

  const server = createServer(async (asked, response) => {
    try {
      const { method = '', url: path = '', headers } = asked;
      const given = await answer({ method, path, headers, body: await buffer(asked) }, pass);
      response.writeHead(given.status, [...(given.headers ?? [])]).end(given.body);
    } catch {
      response.destroy();
    }
  }).listen(0, '127.0.0.1');
  whenDone(t, () => {
    server.close();
    server.closeAllConnections();
  });
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
