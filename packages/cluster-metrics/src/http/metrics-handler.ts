import type { IncomingMessage, ServerResponse } from 'node:http';
import { inspect } from 'node:util';
import zlib from 'node:zlib';
import { ClusterRegistry } from '../cluster/cluster-registry.ts';
import { UnknownWorkerError } from '../cluster/scrape.ts';
import type { HandlerErrorCause } from '../cluster/types.ts';
import { chooseFormat, FORMATS, type FormatName, prefersGzip } from './negotiation.ts';

export interface MetricsHandlerOptions {
  /** Formats to offer; a client that likes several equally gets the first. Default `['text', 'openmetrics', 'protobuf']`. */
  formats?: readonly FormatName[];
  /**
   * How to compress with gzip for a client whose `Accept-Encoding` prefers that. Default `fastest`, 1.3 ms of processor
   * time for a page of 380 kB. `smallest` takes 9 ms and saves another sixth of the bytes; `never` leaves compression to
   * a proxy.
   */
  compression?: 'fastest' | 'smallest' | 'never';
  /**
   * Whether OpenMetrics has a sample `_created` for each counter, histogram and summary. Each is a further series for a
   * Prometheus without the feature `created-timestamp-zero-ingestion`; protobuf has the same times without that. Default
   * false.
   */
  createdSamples?: boolean;
  /** Told of each failure, which the client sees as a status 500. By default, a process warning tells. */
  onProblem?: (problem: Error) => void;
}

/** Resolves when the response has been handed over. Never rejects, but for an `onProblem` that throws. */
export type MetricsHandler = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

const LEVELS = { fastest: zlib.constants.Z_BEST_SPEED, smallest: zlib.constants.Z_BEST_COMPRESSION, never: null };

/** What `openStore` accepts as a worker's place. */
const PLACE = /^\w{1,64}$/;

/**
 * Makes the handler of `/metrics`, for `node:http` and for everything that stands on it: Koa (`ctx.req`, `ctx.res`),
 * Express, Fastify (`request.raw`, `reply.raw`).
 *
 * It answers `GET` and `HEAD` at any path, and looks at the query for `?worker=2` alone, which shows one worker. Scrapes
 * that come together share one gathering, one text and one compression. Each answer may depend on `Accept` and
 * `Accept-Encoding`, as `Vary` says, and is not to be cached. A failure is counted in
 * `cluster_metrics_handler_errors_total{cause}` and answered with status 500; a client that hangs up is no failure.
 *
 * @throws {TypeError} when `registry` is no ClusterRegistry, or for an option that does not exist
 */
export function createMetricsHandler(registry: ClusterRegistry, options: MetricsHandlerOptions = {}): MetricsHandler {
  const { formats, level, createdSamples, onProblem } = checked(registry, options);
  const compressed = new WeakMap<Buffer, Promise<Buffer>>();

  function compress(body: Buffer, level: number): Promise<Buffer> {
    let result = compressed.get(body);
    if (result === undefined) {
      result = gzip(body, level);
      compressed.set(body, result);
    }
    return result;
  }

  function failed(cause: HandlerErrorCause, error: unknown): never {
    registry.countHandlerError(cause);
    throw error;
  }

  async function showMetrics({ url = '', headers }: IncomingMessage): Promise<Answer> {
    const workers = new URLSearchParams(url.split('?')[1]).getAll('worker');
    if (workers.length > 1 || !workers.every((worker) => PLACE.test(worker))) {
      return sentence(400, 'worker must be the place of one worker, for example ?worker=2.');
    }
    const { contentType } = chooseFormat(headers.accept, formats);
    let body: Buffer;
    try {
      body = await registry.exposition({ contentType, createdSamples, worker: workers[0] });
    } catch (error) {
      if (error instanceof UnknownWorkerError) return sentence(404, `${error.message}.`);
      return failed('gathering', error);
    }
    const answer = { status: 200, headers: { 'Content-Type': contentType }, body };
    if (level === null || !prefersGzip(String(headers['accept-encoding'] ?? ''))) return answer;
    const zipped = await compress(body, level).catch((error) => failed('compression', error));
    return { ...answer, headers: { ...answer.headers, 'Content-Encoding': 'gzip' }, body: zipped };
  }

  return async function metrics(request, response) {
    const { method = '' } = request;
    if (method !== 'GET' && method !== 'HEAD') {
      return send(method, response, sentence(405, 'Use GET or HEAD.', { Allow: 'GET, HEAD' }));
    }
    try {
      send(method, response, await showMetrics(request));
    } catch (error) {
      send(method, response, sentence(500, 'The metrics could not be shown; the log of this process says why.'));
      onProblem(error as Error);
    }
  };
}

function checked(registry: ClusterRegistry, options: MetricsHandlerOptions) {
  const {
    formats = FORMATS.map(({ name }) => name),
    compression = 'fastest',
    createdSamples = false,
    onProblem = (problem: Error) => process.emitWarning(problem),
  } = options;
  if (!(registry instanceof ClusterRegistry)) {
    throw new TypeError(
      `Write createMetricsHandler(new ClusterRegistry({ directory })), not of ${inspect(registry, { depth: -1 })}`,
    );
  }
  const offered = formats.map((name) => FORMATS.find((format) => format.name === name));
  if (offered.length === 0 || offered.includes(undefined)) {
    const names = FORMATS.map(({ name }) => `'${name}'`).join(', ');
    throw new TypeError(`formats must be an array with one or more of ${names}, not ${inspect(formats)}`);
  }
  const level = LEVELS[compression];
  if (level === undefined) {
    throw new TypeError(`compression must be 'fastest', 'smallest' or 'never', not ${inspect(compression)}`);
  }
  if (typeof createdSamples !== 'boolean') {
    throw new TypeError(`createdSamples must be true or false, not ${inspect(createdSamples)}`);
  }
  return { formats: offered as typeof FORMATS, level, createdSamples, onProblem };
}

/** On a thread of libuv's pool, so that the event loop goes on. */
function gzip(body: Buffer, level: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    zlib.gzip(body, { level }, (error, result) => (error === null ? resolve(result) : reject(error)));
  });
}

function sentence(status: number, text: string, headers = {}): Answer {
  return {
    status,
    headers: { 'Content-Type': 'text/plain; charset=utf-8', ...headers },
    body: Buffer.from(`${text}\n`),
  };
}

function send(method: string, response: ServerResponse, { status, headers, body }: Answer): void {
  // The client has hung up meanwhile, or the application has answered: nothing is left to do.
  if (response.destroyed || response.headersSent) return;
  // Beside what the application has put there.
  response.appendHeader('Vary', 'Accept, Accept-Encoding');
  response.writeHead(status, { ...headers, 'Content-Length': body.length, 'Cache-Control': 'no-store' });
  response.end(method === 'HEAD' ? undefined : body);
}
