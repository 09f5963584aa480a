import type { WriteStream } from 'node:tty';
import type { Tally } from './tally.ts';

const SECOND_MS = 1_000;
/** Interval of the lines where the output is no terminal. */
const LINE_MS = 10 * SECOND_MS;

/**
 * Shows how far something is: on a terminal in one line that changes each second, else in a new line from time to time.
 *
 * @returns `end` shows it for the last time
 */
export function createStatusLine(output: WriteStream, describe: () => string): { end(): void } {
  const show = () => {
    if (!output.isTTY) output.write(`${describe()}\n`);
    // Back to the first column, and clear the line; a line that wraps could not be cleared.
    else output.write(`\r\x1b[K${describe().slice(0, output.columns - 1)}`);
  };
  const timer = setInterval(show, output.isTTY ? SECOND_MS : LINE_MS);
  return {
    end() {
      clearInterval(timer);
      show();
      if (output.isTTY) output.write('\n');
    },
  };
}

export function describeProgress(tally: Tally, online: number, passedMs: number, lengthMs: number): string {
  const counts = {
    online,
    pages: tally.of('pages'),
    added: tally.of('shop_cart_units_added_total'),
    orders: tally.of('shop_orders_total{outcome="paid"}'),
    declined: tally.of('shop_orders_total{outcome="declined"}'),
    'no answer': tally.of('unanswered'),
  };
  const parts = Object.entries(counts).map(([name, count]) => `${name} ${count}`);
  return `${clock(passedMs)} of ${clock(lengthMs)}: ${parts.join(', ')}`;
}

function clock(ms: number): string {
  const seconds = Math.round(ms / SECOND_MS);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}
