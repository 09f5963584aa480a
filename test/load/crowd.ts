import { fork } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { whenDone } from '../support/wait.ts';

export interface CrowdOptions {
  origin: string;
  /** The number of kept connections. */
  clients: number;
  /** The rate of all clients together. A client waits for its answer before the next request. */
  requestsPerSecond: number;
  seconds: number;
  path: string;
  cookie?: string;
}

/** The answers that the crowd received. */
export interface CrowdResult {
  /** Milliseconds to the end of each answer 200, sorted. */
  served: number[];
  /** The same for answers 503. */
  refused: number[];
  /** Other answers, and connections that ended without notice. */
  complaints: string[];
}

const LAST_ANSWERS_MS = 10_000;

/** Runs many clients that request one page again and again, in a process of their own. */
export async function sendCrowd(t: TestContext, options: CrowdOptions): Promise<CrowdResult> {
  const child = fork(fileURLToPath(import.meta.url), [JSON.stringify(options)], { execArgv: ['--import', 'tsx'] });
  whenDone(t, () => child.kill());
  const [result] = (await once(child, 'message')) as [CrowdResult];
  return result;
}

async function beCrowd({
  origin,
  clients,
  requestsPerSecond,
  seconds,
  path,
  cookie,
}: CrowdOptions): Promise<CrowdResult> {
  const { hostname, port, host } = new URL(origin);
  const request = `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${cookie ? `Cookie: ${cookie}\r\n` : ''}\r\n`;
  const intervalMs = (1000 * clients) / requestsPerSecond;
  const result: CrowdResult = { served: [], refused: [], complaints: [] };

  function open(): Connection {
    const socket = connect({ host: hostname, port: Number(port), noDelay: true });
    return { socket, answers: readAnswers(socket) };
  }

  async function ask(connection: Connection, delayMs: number): Promise<void> {
    let { socket, answers } = connection;
    await sleep(delayMs);
    while (performance.now() < endMs) {
      const startedMs = performance.now();
      if (answers.closed()) ({ socket, answers } = open());
      socket.write(request);
      const status = await answers.next();
      const elapsedMs = performance.now() - startedMs;
      if (status === 200) result.served.push(elapsedMs);
      else if (status === 503) result.refused.push(elapsedMs);
      else result.complaints.push(`${status ?? 'broken'} after ${elapsedMs} ms`);
      if (status === null) return;
      await sleep(Math.max(0, intervalMs - elapsedMs));
    }
    socket.destroy();
  }

  // The connections are open and used before the load begins, like those that a proxy keeps.
  const connections: Connection[] = [];
  for (let i = 0; i < clients; i++) {
    const connection = open();
    connection.socket.write(`GET /livez HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    await connection.answers.next();
    connections.push(connection);
  }
  const endMs = performance.now() + seconds * 1000;

  const all = Promise.all(connections.map((connection, i) => ask(connection, (i / clients) * intervalMs)));
  await Promise.race([all, sleep(seconds * 1000 + LAST_ANSWERS_MS)]);
  for (const latencies of [result.served, result.refused]) latencies.sort((a, b) => a - b);
  return result;
}

interface Connection {
  socket: Socket;
  answers: Answers;
}

interface Answers {
  /** The status of the next answer; null when the connection has ended. */
  next(): Promise<number | null>;
  /** Whether no other answer will come: the server has announced it, or the connection has ended. */
  closed(): boolean;
}

/** Reads answers that have a Content-Length. */
function readAnswers(socket: Socket): Answers {
  let head = '';
  let left = -1;
  let status = 0;
  let last = false;
  let answered: (status: number | null) => void = () => {};
  socket.on('data', (data) => {
    if (left < 0) {
      head += data.toString('latin1');
      const end = head.indexOf('\r\n\r\n');
      if (end < 0) return;
      status = Number(head.slice(9, 12));
      const [, length] = /^content-length: (\d+)/im.exec(head) ?? [];
      last = /^connection: close/im.test(head);
      left = Number(length) - (head.length - end - 4);
      head = '';
    } else {
      left -= data.length;
    }
    if (left > 0) return;
    left = -1;
    answered(status);
  });
  socket.on('error', () => {});
  socket.on('close', () => answered(null));
  return {
    closed: () => last || socket.destroyed,
    next() {
      if (socket.destroyed) return Promise.resolve(null);
      return new Promise((resolve) => {
        answered = resolve;
      });
    },
  };
}

/** A quantile of sorted values. @param part 0 to 1 */
export function quantile(sorted: readonly number[], part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
}

if (process.send && process.argv[1] === fileURLToPath(import.meta.url)) {
  process.send(await beCrowd(JSON.parse(process.argv[2] as string) as CrowdOptions), () => process.exit());
}
