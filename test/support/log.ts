import { type Logger, pino } from 'pino';

export const silentLog = pino({ level: 'silent' });

/** A logger that keeps its lines, as JSON. */
export function recordLog(level = 'info'): { log: Logger; lines: string[] } {
  const lines: string[] = [];
  return { log: pino({ level }, { write: (line: string) => lines.push(line) }), lines };
}
