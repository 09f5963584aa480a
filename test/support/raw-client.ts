import { connect, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { whenDone } from './wait.ts';

/** A TCP client that sends any bytes, valid HTTP or not. */
export interface RawClient {
  readonly socket: Socket;
  /** All that the server has sent so far. */
  answer(): string;
  /** Whether the connection has ended. */
  closed(): boolean;
  /** Waits for the end of the connection, at most `deadlineMs`. @returns its duration in milliseconds */
  end(deadlineMs: number): Promise<number>;
  /** Sends data. @returns true when the system has taken it, false when the connection has ended */
  send(data: string | Buffer): Promise<boolean>;
}

/** Connects. The connection ends with the test. */
export function connectRaw(t: TestContext, origin: string): RawClient {
  const { hostname, port } = new URL(origin);
  const startedMs = performance.now();
  const chunks: string[] = [];
  // Half open, to tell a server that has only stopped sending from one that has closed the connection.
  const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
  const closed = new Promise<number>((resolve) => {
    socket.once('end', () => socket.destroy());
    socket.once('close', () => resolve(performance.now() - startedMs));
  });
  socket.setEncoding('latin1');
  socket.on('data', (chunk) => chunks.push(String(chunk)));
  // A reset counts as an end.
  socket.on('error', () => {});
  whenDone(t, () => socket.destroy());

  return {
    socket,
    answer: () => chunks.join(''),
    closed: () => socket.destroyed,
    end(deadlineMs) {
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`still open after ${deadlineMs} ms`)), deadlineMs);
        void closed.then((milliseconds) => {
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
