import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import net, { type AddressInfo, type Socket } from 'node:net';
import { StartError } from '../start-error.ts';
import { isLoopback, type Refusal, refusalOf } from './request-host.ts';

const SECOND = 1000;

/** Limits against slow and endless requests; https://nodejs.org/docs/latest-v20.x/api/http.html names each. */
const LIMITS = {
  /** The request line and headers are there in this time, */
  headersTimeout: 10 * SECOND,
  /** and the whole request, body included, in this. */
  requestTimeout: 15 * SECOND,
  connectionsCheckingInterval: 1 * SECOND,
  maxHeaderSize: 16 * 1024,
};
/**
 * Then the connection is closed and the client opens another, which goes to a worker that has time. Otherwise one that
 * happened to take most of the connections in a busy moment would keep their load for as long as they last.
 */
const REQUESTS_PER_CONNECTION = 100;
/**
 * For so long a process stands still when it has taken a connection, and others that listen on the same address wake up
 * and take the next. Otherwise the first to wake up takes most of those that come at once; older versions of libuv did the
 * same where `UV_TCP_SINGLE_ACCEPT` was set.
 */
const TURN_MS = 0.05;
/** A client that has not taken the whole answer by then is cut; Node.js itself would wait for ever. */
const ANSWER_TIMEOUT_MS = 30 * SECOND;
const ANSWER_CHECK_MS = 1 * SECOND;

/**
 * Whoever is still sending what nobody wants to read gets so long to notice the answer. A connection that is closed with
 * something unread is reset, and the answer lost with it (RFC 9112, section 9.6). More than so many bytes stay unread:
 * to swallow all would cost others their time.
 */
const LINGER_MS = 1 * SECOND;
const LINGER_BYTES = 1024 * 1024;

/** The usual balancers keep an idle connection for 60 s: the side that closes it should be theirs. */
const KEEP_ALIVE_SECONDS = 75;
/** An idle connection stays open this much longer than its client was told: a request sent at the last moment is answered. */
const KEEP_ALIVE_GRACE_MS = 5 * SECOND;
/** In a drain, an idle connection is given this long to send one more request and be told to close. */
const IDLE_GRACE_MS = 1000;
const IDLE_CHECK_MS = 100;

export interface Address {
  host: string;
  /** 0 asks the system for a free port. */
  port: number;
  /** Other processes take connections there too. Default false. */
  shared?: boolean;
}

export interface ListenOptions extends Address {
  /** An idle connection is kept this long, and its client is told so (`Keep-Alive: timeout=75`). Default 75. */
  keepAliveSeconds?: number;
  /** When the address is the loopback, answer requests for `host` and for names of the loopback only. Default false. */
  refuseForeignHosts?: boolean;
}

export interface HttpServer {
  readonly port: number;
  /**
   * Takes no new connection, answers what comes on the open ones with `Connection: close`, and resolves when the
   * last has gone, or cuts the rest at the deadline.
   */
  drain(deadlineMs: number): Promise<void>;
}

/**
 * Listens, with limits, in a form that drains without failing a request.
 *
 * @throws {StartError} that says what to do, when the address can't be had
 */
export async function listen(handler: RequestListener, options: ListenOptions): Promise<HttpServer> {
  const { keepAliveSeconds = KEEP_ALIVE_SECONDS } = options;
  /** Since when; oldest first. */
  const answering = new Map<ServerResponse, number>();
  let draining = false;
  let loopbackHost: string | null = null;
  const limits = { ...LIMITS, keepAliveTimeout: keepAliveSeconds * SECOND };
  const server = createServer(limits, function track(request, response) {
    answering.set(response, performance.now());
    response.once('close', () => answering.delete(response));
    response.once('finish', () => {
      noteIdle(request.socket);
      // What nobody wanted to read is not waited for: Node.js would swallow all that comes until `requestTimeout`.
      if (!request.complete) linger(request);
    });
    // With this Node.js ends a connection, after an answer with `Connection: close`. Of several requests on one, the last
    // is the one whose body may still be coming.
    request.socket.destroySoon = function destroySoon() {
      if (request.complete) net.Socket.prototype.destroySoon.call(request.socket);
      else linger(request);
    };
    if (draining) response.shouldKeepAlive = false;
    const refusal = refusalOf(request, loopbackHost);
    if (refusal) refuse(response, refusal);
    else handler(request, response);
  });
  server.maxRequestsPerSocket = REQUESTS_PER_CONNECTION;
  const noteIdle = closeIdleConnections(server);
  if (options.shared) server.on('connection', standStill);
  await listening(server, options);
  const { port, address } = server.address() as AddressInfo;
  if (options.refuseForeignHosts && isLoopback(address)) loopbackHost = options.host;

  const cutting = setInterval(function cutThoseWhoTakeNothing() {
    const before = performance.now() - ANSWER_TIMEOUT_MS;
    for (const [response, since] of answering) {
      if (since > before) return;
      response.destroy();
    }
  }, ANSWER_CHECK_MS).unref();

  async function drain(deadlineMs: number): Promise<void> {
    draining = true;
    // `http.Server.close` would cut idle connections at once, also the one whose next request is under way.
    const closed = new Promise<void>((resolve) => {
      net.Server.prototype.close.call(server, () => resolve());
    });
    for (const response of answering.keys()) if (!response.headersSent) response.shouldKeepAlive = false;
    const started = performance.now();
    const check = setInterval(() => {
      const elapsed = performance.now() - started;
      if (elapsed > deadlineMs) server.closeAllConnections();
      // After what has arrived meanwhile has been read: on a busy machine that may be the awaited request.
      else if (elapsed > IDLE_GRACE_MS) setImmediate(() => server.closeIdleConnections());
    }, IDLE_CHECK_MS);
    await closed;
    clearInterval(check);
    clearInterval(cutting);
    server.close();
  }

  return { port, drain };
}

/**
 * Closes idle connections after `keepAliveTimeout` and a grace. Node.js by itself cuts them in its turn for timers: it has
 * not looked then at what arrived while it was busy, and a request that nobody read is answered with a reset.
 *
 * @returns to be called when a connection has sent an answer
 */
function closeIdleConnections(server: Server): (socket: Socket) => void {
  /** How much a connection had read when it became idle. */
  const idle = new WeakMap<Socket, { bytesRead: number; inGrace: boolean }>();

  // With a listener here, Node.js leaves the closing to it.
  server.on('timeout', function closeIdle(socket: Socket) {
    const state = idle.get(socket);
    if (!state) return;
    if (!state.inGrace) {
      state.inGrace = true;
      socket.setTimeout(KEEP_ALIVE_GRACE_MS);
      return;
    }
    // After what has arrived meanwhile has been read.
    setImmediate(() => {
      if (state.bytesRead === socket.bytesRead) {
        socket.destroy();
      } else {
        // A request has begun. If it goes no further, `headersTimeout` answers; what was no request ends here next time.
        state.bytesRead = socket.bytesRead;
        socket.setTimeout(LIMITS.headersTimeout + LIMITS.connectionsCheckingInterval);
      }
    });
  });

  return function noteIdle(socket) {
    idle.set(socket, { bytesRead: socket.bytesRead, inGrace: false });
  };
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

/** Ends a connection whose client goes on sending, when it has had time to read the answer. */
function linger(request: IncomingMessage): void {
  const { socket } = request;
  if (socket.writableEnded) return;
  const enough = socket.bytesRead + LINGER_BYTES;
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.once('close', () => clearTimeout(timer));
  socket.end();
  request.once('end', () => socket.destroy());
  request.on('data', () => {
    if (socket.bytesRead > enough) request.pause();
  });
  request.resume();
}

const NEVER = new Int32Array(new SharedArrayBuffer(4));

/** Lets others have the processor, for a time far shorter than a timer's. */
function standStill(): void {
  Atomics.wait(NEVER, 0, 0, TURN_MS);
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
