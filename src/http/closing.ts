import type { IncomingMessage, Server } from 'node:http';
import net, { type Socket } from 'node:net';

const SECOND = 1000;

/**
 * After an early response, keep reading the upload for at most this long and this much: closing with unread data resets
 * the connection, and the client loses the response (RFC 9112, section 9.6). Reading all of it would cost other clients
 * their time.
 */
const LINGER_MS = 1 * SECOND;
const LINGER_BYTES = 1024 * 1024;

/**
 * An idle connection stays open this much longer than its client was told: a request sent at the last moment is
 * answered.
 */
const KEEP_ALIVE_GRACE_MS = 5 * SECOND;

/** To be called when a response was sent: Node.js would read the rest of the request's body until `requestTimeout`. */
export function lingerIfUnread(request: IncomingMessage): void {
  if (!request.complete) linger(request);
}

/**
 * Lets the client read the whole response to a request whose body it is still sending, before the connection is closed.
 */
export function endGently(request: IncomingMessage): void {
  const { socket } = request;
  // Node.js calls this to end a connection after a response with `Connection: close`. Of several requests on one
  // connection, only the last may still have a body on its way.
  socket.destroySoon = function destroySoon() {
    if (request.complete) net.Socket.prototype.destroySoon.call(socket);
    else linger(request);
  };
}

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

/**
 * Closes idle connections after `keepAliveTimeout` and a grace. Node.js itself cuts them when their timer is due,
 * before it has read what arrived while it was busy: a request among it would be answered with a reset.
 *
 * @param beginningMs for a request that has begun on an idle connection: later than Node.js' own limit for its headers
 * @returns to be called when a connection has sent an answer
 */
export function closeIdleConnections(server: Server, beginningMs: number): (socket: Socket) => void {
  /** How much an idle connection had read when its grace began. */
  const graces = new WeakMap<Socket, number>();

  // With a listener here, Node.js leaves the closing to it.
  server.on('timeout', function closeIdle(socket: Socket) {
    const readBefore = graces.get(socket);
    if (readBefore === undefined) {
      graces.set(socket, socket.bytesRead);
      socket.setTimeout(KEEP_ALIVE_GRACE_MS);
      return;
    }
    // A turn later, so that data that has arrived meanwhile is read first.
    setImmediate(() => {
      if (readBefore === socket.bytesRead) {
        socket.destroy();
      } else if (graces.has(socket)) {
        // A request has begun. If its headers do not end, `headersTimeout` answers; other bytes end here next time.
        graces.set(socket, socket.bytesRead);
        socket.setTimeout(beginningMs);
      }
    });
  });

  return function endGrace(socket) {
    graces.delete(socket);
  };
}
