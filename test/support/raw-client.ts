import { connect, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { whenDone } from './wait.ts';

/** A client that speaks TCP, and HTTP only as far as it wants to. */
export interface RawClient {
  readonly socket: Socket;
  /** What the server has said so far. */
  answer(): string;
  /** Whether the connection is gone, whoever ended it. */
  closed(): boolean;
  /** Resolves with the milliseconds from the connection's start to its end, at most `deadlineMs` from now. */
  end(deadlineMs: number): Promise<number>;
  /** Sends what the server still takes; resolves when it took it, or with false when the connection is gone. */
  send(data: string | Buffer): Promise<boolean>;
}

/** Connects; the connection is gone at the test's end. */
export function connectRaw(t: TestContext, origin: string): RawClient {
  const { hostname, port } = new URL(origin);
  const startedMs = performance.now();
  const chunks: string[] = [];
  // Half open, so that a server that has only stopped sending is not taken for one that has let go.
  const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
  const closed = new Promise<number>((resolve) => {
    socket.once('end', () => socket.destroy());
    socket.once('close', () => resolve(performance.now() - startedMs));
  });
  socket.setEncoding('latin1');
  socket.on('data', (chunk) => chunks.push(String(chunk)));
  // A reset is an end as good as any.
  socket.on('error', () => {});
  whenDone(t, () => socket.destroy());

  return {
    socket,
    answer: () => chunks.join(''),
    closed: () => socket.destroyed,
    end(deadlineMs) {
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`still open after ${deadlineMs} ms`)), deadlineMs);
        closed.then((milliseconds) => {
          clearTimeout(timer);
          resolve(milliseconds);
        });
      });
    },
    send(data) {
      if (socket.destroyed) return Promise.resolve(false);
      return new Promise((resolve) => {
        const gone = () => resolve(false);
        socket.once('close', gone);
        socket.write(data, (error) => {
          socket.off('close', gone);
          resolve(!error);
        });
      });
    },
  };
}
