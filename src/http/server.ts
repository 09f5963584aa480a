import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http';
import net, { type AddressInfo, type Socket } from 'node:net';
import { StartError } from '../start-error.ts';
import { takeTurnsAccepting } from './accept-turns.ts';
import { closeIdleConnections, endGently, lingerIfUnread } from './closing.ts';
import { isLoopback, type Refusal, refusalOf } from './request-host.ts';

const SECOND = 1000;

/** Limits against slow and endless requests; https://nodejs.org/docs/latest-v20.x/api/http.html names each. */
const LIMITS = {
  /** For the request line and the headers. */
  headersTimeout: 10 * SECOND,
  /** For the whole request, body included. */
  requestTimeout: 15 * SECOND,
  connectionsCheckingInterval: 1 * SECOND,
  maxHeaderSize: 16 * 1024,
};
/**
 * Where processes share an address, a connection is then closed, and the client opens another, which goes to a worker that
 * has time. Otherwise a worker that took most of the connections in a busy moment would keep their load for as long as
 * they last. nginx has the same number. Node.js' own `maxRequestsPerSocket` would answer 503 to a client that overlooks
 * the notice.
 */
const REQUESTS_PER_CONNECTION = 1000;
/** A client that has not taken the whole answer by then is cut; Node.js itself would wait without limit. */
const ANSWER_TIMEOUT_MS = 30 * SECOND;
const ANSWER_CHECK_MS = 1 * SECOND;

/** The usual balancers keep an idle connection for 60 s: they should be the side that closes it. */
const KEEP_ALIVE_SECONDS = 75;
/** In a drain, an idle connection has this long to send one more request and be told to close. */
const IDLE_GRACE_MS = 1 * SECOND;
const IDLE_CHECK_MS = 100;

export interface Address {
  host: string;
  /** 0 asks the system for a free port. */
  port: number;
}

export interface ListenOptions extends Address {
  /** Other processes accept connections at this address too. Default false. */
  shared?: boolean;
  /** An idle connection is kept this long, and its client is told so (`Keep-Alive: timeout=75`). Default 75. */
  keepAliveSeconds?: number;
  /** When the address is the loopback, answer requests for `host` and for names of the loopback only. Default false. */
  refuseForeignHosts?: boolean;
}

export interface HttpServer {
  readonly port: number;
  /**
   * Accepts no new connection, answers requests on the open ones with `Connection: close`, and resolves when the last
   * connection has closed; cuts the rest at the deadline.
   */
  drain(deadlineMs: number): Promise<void>;
}

/** Answers without a time limit: streams of events. */
const keptOpen = new WeakSet<ServerResponse>();

/**
 * Exempts an answer from the limit of 30 seconds: a stream of events. Who sends it has to end it before a drain, and to
 * limit what waits for a client that does not read.
 */
export function keepOpen(response: ServerResponse): void {
  keptOpen.add(response);
}

/**
 * Listens, with limits; the server drains without failing a request.
 *
 * @throws {StartError} that says what to do, when the system refuses the address
 */
export async function listen(handler: RequestListener, options: ListenOptions): Promise<HttpServer> {
  const { keepAliveSeconds = KEEP_ALIVE_SECONDS } = options;
  /** With the time of the request; oldest first. */
  const answering = new Map<ServerResponse, number>();
  /** How many a connection has brought. */
  const requests = new WeakMap<Socket, { count: number }>();
  let draining = false;
  let loopbackHost: string | null = null;
  const limits = { ...LIMITS, keepAliveTimeout: keepAliveSeconds * SECOND };
  const server = createServer(limits, function track(request, response) {
    answering.set(response, performance.now());
    response.on('close', noteClosed);
    endGently(request);
    if (draining || (options.shared && isLastOf(request.socket))) response.shouldKeepAlive = false;
    const refusal = refusalOf(request, loopbackHost);
    if (refusal) refuse(response, refusal);
    else handler(request, response);
  });
  function isLastOf(socket: Socket): boolean {
    let brought = requests.get(socket);
    if (!brought) {
      brought = { count: 0 };
      requests.set(socket, brought);
    }
    brought.count += 1;
    return brought.count >= REQUESTS_PER_CONNECTION;
  }
  function noteClosed(this: ServerResponse): void {
    answering.delete(this);
    if (!this.writableFinished) return;
    endGrace(this.req.socket);
    lingerIfUnread(this.req);
  }
  const endGrace = closeIdleConnections(server, LIMITS.headersTimeout + LIMITS.connectionsCheckingInterval);
  if (options.shared) takeTurnsAccepting(server);
  await listening(server, options);
  const { port, address } = server.address() as AddressInfo;
  if (options.refuseForeignHosts && isLoopback(address)) loopbackHost = options.host;

  const cutting = setInterval(function cutUnreadAnswers() {
    const before = performance.now() - ANSWER_TIMEOUT_MS;
    for (const [response, since] of answering) {
      if (since > before) return;
      if (!keptOpen.has(response)) response.destroy();
    }
  }, ANSWER_CHECK_MS).unref();

  async function drain(deadlineMs: number): Promise<void> {
    draining = true;
    // `http.Server.close` would cut idle connections at once, also one whose next request is on its way.
    const closed = new Promise<void>((resolve) => {
      net.Server.prototype.close.call(server, () => resolve());
    });
    for (const response of answering.keys()) if (!response.headersSent) response.shouldKeepAlive = false;
    const started = performance.now();
    const check = setInterval(() => {
      const elapsed = performance.now() - started;
      if (elapsed > deadlineMs) server.closeAllConnections();
      // A turn later, so that requests that have arrived meanwhile are read first.
      else if (elapsed > IDLE_GRACE_MS) setImmediate(() => server.closeIdleConnections());
    }, IDLE_CHECK_MS);
    await closed;
    clearInterval(check);
    clearInterval(cutting);
    server.close();
  }

  return { port, drain };
}

function refuse(response: ServerResponse, { status, reason }: Refusal): void {
  const text = `${reason}\n`;
  response.writeHead(status, {
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Length': Buffer.byteLength(text),
    'X-Content-Type-Options': 'nosniff',
    'Cross-Origin-Resource-Policy': 'same-origin',
    Connection: 'close',
  });
  response.end(text);
}

function listening(server: Server, { host, port }: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(addressError(error, host, port)));
    server.listen({ host, port }, resolve);
  });
}

function addressError(error: NodeJS.ErrnoException, host: string, port: number): Error {
  const advice =
    {
      EADDRINUSE: 'another program listens there: stop it, or choose another port',
      EACCES: 'this user may not listen there: choose a port above 1023',
      EADDRNOTAVAIL: 'this machine has no such address: choose another host',
    }[error.code ?? ''] ?? error.message;
  return new StartError(`Can't listen on ${host}:${port}: ${advice}`, { cause: error });
}
