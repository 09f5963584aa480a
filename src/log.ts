import { type Logger, pino } from 'pino';
import pretty from 'pino-pretty';
import type { Config } from './config.ts';

export type { Logger } from 'pino';

/**
 * The log of one process: JSON lines on stdout, readable on a terminal.
 *
 * @param worker `primary` or the worker's place number, on every line
 */
export function createLog(config: Pick<Config, 'logLevel'>, worker: string): Logger {
  const options = { level: config.logLevel, base: { worker, pid: process.pid } };
  // Synchronous in both forms: the last line before an exit is the one that matters.
  return process.stdout.isTTY
    ? pino(
        options,
        pretty({
          sync: true,
          singleLine: true,
          ignore: 'pid,worker',
          messageFormat: '{worker}: {msg}',
          translateTime: 'SYS:HH:MM:ss',
        }),
      )
    : pino(options, pino.destination({ fd: 1, sync: true }));
}
