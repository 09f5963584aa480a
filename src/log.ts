import { writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { type Logger, pino } from 'pino';
import type { Config } from './config.ts';
import { describeError } from './describe-error.ts';

export type { Logger } from 'pino';

const require = createRequire(import.meta.url);

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
  if (!process.stdout.isTTY) return pino(options, { write: writeLine });
  // Loaded here, because no other process needs it.
  const pretty = require('pino-pretty') as typeof import('pino-pretty');
  return pino(
    options,
    pretty({
      sync: true,
      singleLine: true,
      ignore: SHORTENED.join(),
      errorLikeObjectKeys: Object.keys(serializers),
      messageFormat: (line) => `${line.worker}: ${isRequest(line) ? requestMessage(line) : line.msg}`,
      translateTime: 'SYS:HH:MM:ss',
    }),
  );
}

const STDOUT = 1;
/** Between two attempts to write to a pipe that is full. */
const PIPE_RETRY_MS = 10;
const NEVER = new Int32Array(new SharedArrayBuffer(4));

/**
 * Writes a line to standard output, all of it before it returns. pino's own destination does the same with a queue, which
 * costs as much as the write.
 *
 * Waits for a reader that is behind. A line for which the disk has no room, or whose reader has gone, is lost: that
 * must not hurt the shop.
 */
function writeLine(line: string): void {
  const bytes = Buffer.from(line);
  let written = 0;
  while (written < bytes.length) {
    try {
      written += writeSync(STDOUT, bytes, written);
    } catch (error) {
      // The pipe does not block where a process that shares it has said so.
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return;
      Atomics.wait(NEVER, 0, 0, PIPE_RETRY_MS);
    }
  }
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

const WARN_INTERVAL_MS = 60_000;

/** Tells in the log when a task that repeats begins to fail, and when it works again. */
export interface OutageLog {
  /** Warns of an outage once, and of another one after a minute at the earliest. */
  failed(error: unknown, message: string): void;
  /** Tells the end of an outage that the log has told. */
  worked(message: string): void;
}

/** A database that comes and goes would flood the log with a warning for each second and worker. */
export function createOutageLog(log: Logger): OutageLog {
  let isTold = false;
  let warnedMs = Number.NEGATIVE_INFINITY;
  return {
    failed(error, message) {
      const nowMs = performance.now();
      if (isTold || nowMs - warnedMs < WARN_INTERVAL_MS) return;
      log.warn({ err: error }, message);
      isTold = true;
      warnedMs = nowMs;
    },
    worked(message) {
      if (isTold) log.info(message);
      isTold = false;
    },
  };
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
