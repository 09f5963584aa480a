import { type Logger, pino } from 'pino';
import pretty from 'pino-pretty';
import type { Config } from './config.ts';
import { describeError } from './describe-error.ts';

export type { Logger } from 'pino';

/** How a line shows an error, in its fields `err` and `cause`. */
export const serializers = { err: describeError, cause: describeError };

/** Fields that a terminal shows in the message or not at all. */
const SHORTENED = ['pid', 'worker', 'requestId', 'method', 'route', 'path', 'status', 'durationMs', 'error'];
const TERMINAL_PATH = 40;
const TERMINAL_ID = 8;

/**
 * The log of one process: JSON lines on stdout, readable on a terminal.
 *
 * @param worker `primary` or the worker's place number, on every line
 */
export function createLog(config: Pick<Config, 'logLevel'>, worker: string): Logger {
  const options = { level: config.logLevel, base: { worker, pid: process.pid }, serializers };
  // Synchronous in both forms: the last line before an exit is the one that matters.
  return process.stdout.isTTY
    ? pino(
        options,
        pretty({
          sync: true,
          singleLine: true,
          ignore: SHORTENED.join(),
          errorLikeObjectKeys: Object.keys(serializers),
          messageFormat: (line) => `${line.worker}: ${isRequest(line) ? requestMessage(line) : line.msg}`,
          translateTime: 'SYS:HH:MM:ss',
        }),
      )
    : pino(options, pino.destination({ fd: 1, sync: true }));
}

/**
 * Logs why this process ends: in a fatal line, or on stderr where LOG_LEVEL hides even that.
 *
 * @param error when the message alone is not enough
 */
export function logFatal(log: Logger, message: string, error?: unknown): void {
  log.fatal({ err: error }, message);
  if (log.isLevelEnabled('fatal')) return;
  process.stderr.write(error === undefined ? `${message}\n` : `${message}: ${describeError(error).stack}\n`);
}

/** A line of `logRequests`. */
interface RequestLine {
  requestId: string;
  method: string;
  path: string;
  status: number;
  durationMs: number;
  error?: string;
}

function isRequest(line: object): line is RequestLine {
  return 'method' in line && 'durationMs' in line;
}

/** A request in half a terminal's line; the beginning of an id is enough to find it. */
function requestMessage({ requestId, method, path, status, durationMs, error }: RequestLine): string {
  const shown = path.length > TERMINAL_PATH ? `${path.slice(0, TERMINAL_PATH - 1)}…` : path;
  const why = error === undefined ? '' : ` ${error} ${requestId.slice(0, TERMINAL_ID)}`;
  return `${method} ${shown} ${status} ${durationMs} ms${why}`;
}
