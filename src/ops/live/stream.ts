import type { ServerResponse } from 'node:http';

/** More viewers are refused. */
export const MOST_VIEWERS = 500;
/** A viewer that has left so many bytes unread is cut; its browser connects again and gets a whole frame first. */
const MOST_UNREAD_BYTES = 256 * 1024;

/** The open streams of the live page. */
export interface Viewers {
  readonly count: number;
  /** Whether another one is refused. */
  readonly isFull: boolean;
  /**
   * Begins a stream of server-sent events.
   *
   * @param hello its first event
   */
  add(response: ServerResponse, hello: Buffer): void;
  /** Sends the same bytes to all. */
  send(event: Buffer): void;
  /** Ends all streams. */
  close(): void;
}

export function createViewers(): Viewers {
  const open = new Set<ServerResponse>();

  function send(viewer: ServerResponse, event: Buffer): void {
    // The bytes of an event are the same for all viewers, so what waits for a slow one takes little memory.
    if (viewer.writableLength > MOST_UNREAD_BYTES) viewer.destroy();
    else viewer.write(event);
  }

  return {
    get count() {
      return open.size;
    },
    get isFull() {
      return open.size >= MOST_VIEWERS;
    },
    add(response, hello) {
      // It has left already.
      if (response.destroyed) return;
      // Closed with its stream, so that no drain waits for the connection.
      response.shouldKeepAlive = false;
      response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
      open.add(response);
      response.once('close', () => open.delete(response));
      response.write(hello);
    },
    send(event) {
      for (const viewer of open) send(viewer, event);
    },
    close() {
      for (const viewer of open) viewer.end();
      // A viewer who reads slowly is still there for a while, and nothing may be written after the end.
      open.clear();
    },
  };
}

/**
 * An event as it is sent.
 *
 * https://html.spec.whatwg.org/multipage/server-sent-events.html
 */
export function eventOf(name: string, data: unknown): Buffer {
  return Buffer.from(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
}
