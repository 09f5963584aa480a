/*
 * Sends load with autocannon, in a process of its own: what it costs delays neither the server nor the measuring.
 */
import autocannon, { type Client, type Result } from 'autocannon';
import { deferred } from '../../src/promises.ts';
import { quantile } from '../statistics.ts';
import { answerParent } from './answer-parent.ts';

export interface LoadRequest {
  path: string;
  method?: 'GET' | 'POST';
  headers: Readonly<Record<string, string>>;
  body?: string;
}

export interface Load {
  origin: string;
  /** The connections share them out and repeat their shares. A connection without a share sends the first. */
  requests: readonly LoadRequest[];
  connections: number;
  /** How long; or how many requests. */
  length: { seconds: number } | { requests: number };
}

export interface LoadResult {
  /** Answers by status. */
  statuses: Record<string, number>;
  /** Connections that broke, and requests without an answer in 10 s. */
  failures: number;
  /** From the start to the last answer. */
  seconds: number;
  /** Milliseconds from a request to the last byte of its answer: the 99th percentile, and that of one in a thousand. */
  p99Ms: number;
  p999Ms: number;
}

/** How often autocannon looks whether it has been stopped, and this program whether the time is over. */
const LOOK_MS = 20;
/** On a busy machine, the time is extended until there are answers, and at most to this. */
const LONGEST_SECONDS = 30;

/** What the types of autocannon leave out. */
type WholeClient = Client & {
  reqsMade: number;
  reconnectRate: number;
  on(event: 'request', listener: () => void): unknown;
};

/** Argument of the event `headers`: names and values alternate. */
interface Head {
  statusCode: number;
  headers: string[];
}

async function send({ origin, requests, connections, length }: Load): Promise<LoadResult> {
  const latenciesMs: number[] = [];
  const statuses: Record<string, number> = {};
  let clients = 0;
  let lastMs = 0;

  function setupClient(client: Client): void {
    const place = clients++;
    const share = requests.filter((_, i) => i % connections === place);
    client.setRequests((share.length > 0 ? share : requests.slice(0, 1)).map((request) => ({ ...request })));
    keepToClose(client as WholeClient);

    let askedMs = 0;
    (client as WholeClient).on('request', () => {
      askedMs = performance.now();
    });
    client.on('response', (status) => {
      lastMs = performance.now();
      latenciesMs.push(lastMs - askedMs);
      statuses[status] = (statuses[status] ?? 0) + 1;
    });
  }

  const startedMs = performance.now();
  const done = deferred<Result>();
  const instance = autocannon(
    {
      url: origin,
      connections,
      setupClient,
      sampleInt: LOOK_MS,
      skipAggregateResult: true,
      ...('requests' in length ? { amount: length.requests } : { duration: LONGEST_SECONDS }),
    },
    (error: Error | null, result) => (error ? done.reject(error) : done.resolve(result)),
  );
  const looking = setInterval(function stopInTime() {
    const isOver = 'seconds' in length && performance.now() - startedMs >= length.seconds * 1000;
    if (isOver && latenciesMs.length >= connections) instance.stop();
  }, LOOK_MS);
  const { errors } = await done.promise;
  clearInterval(looking);
  return {
    statuses,
    failures: errors,
    seconds: (lastMs - startedMs) / 1000,
    p99Ms: quantile(latenciesMs, 0.99),
    p999Ms: quantile(latenciesMs, 0.999),
  };
}

/**
 * Makes a client open a new connection after an answer with `Connection: close`. By itself it would send the next request
 * on the old connection, which a server of Node.js answers with 503.
 */
function keepToClose(client: WholeClient): void {
  client.on('headers', (given: unknown) => {
    const { statusCode, headers } = given as Head;
    const at = headers.findIndex((name, i) => i % 2 === 0 && name.toLowerCase() === 'connection');
    const closes = at >= 0 && headers[at + 1]?.toLowerCase() === 'close';
    // At this number of requests it reconnects, and leaves out the event of the answer.
    client.reconnectRate = closes ? client.reqsMade : 0;
    if (closes) client.emit('response', statusCode, 0, 0);
  });
}

answerParent(send);
