import { closeSync, openSync } from 'node:fs';

/**
 * One press of Ctrl-C under npm arrives twice: the terminal signals the whole process group, and npm forwards
 * the signal to its child as well (`@npmcli/run-script`, signal-manager). So close ones count as one.
 */
const SAME_PRESS_MS = 250;

export interface SignalHandlers {
  /** At the first SIGTERM or SIGINT, or when the terminal that it was started on is closed. */
  stop(signal: NodeJS.Signals): void;
  /** At the second: the process exits when this returns. */
  abandon(): void;
  /** At each SIGHUP, unless it came because the terminal was closed. */
  reload(): void;
}

/** Handles the signals that stop and reload a service, for the rest of the process's life. */
export function handleSignals({ stop, abandon, reload }: SignalHandlers): void {
  const startedOnTerminal = hasTerminal();
  let firstAt: number | undefined;

  function handleStop(signal: NodeJS.Signals): void {
    if (firstAt === undefined) {
      firstAt = performance.now();
      stop(signal);
    } else if (performance.now() - firstAt > SAME_PRESS_MS) {
      abandon();
      process.exit(1);
    }
  }

  process.on('SIGTERM', handleStop);
  process.on('SIGINT', handleStop);
  process.on('SIGHUP', (signal) => {
    if (startedOnTerminal && !hasTerminal()) handleStop(signal);
    else reload();
  });
}

/** A closed terminal and an operator both send SIGHUP; only the first leaves the process without its terminal. */
function hasTerminal(): boolean {
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return true;
  } catch {
    return false;
  }
}
