import { constants } from 'node:os';
import { type ReleaseStack, releaseStack } from '../src/cluster/release.ts';

/**
 * Runs a program and releases its resources: at its end, after an error, and after a signal, which ends it with
 * 128 + the signal's number. An error is printed and ends it with 1.
 */
export async function runWithResources(run: (resources: ReleaseStack) => Promise<void>): Promise<void> {
  const resources = releaseStack((error) => console.error(error));
  let interrupted = false;
  async function stop(exitCode: number): Promise<void> {
    interrupted = true;
    await resources.release();
    process.exit(exitCode);
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    // Each time: npm repeats the signal of a terminal.
    process.on(signal, () => stop(128 + constants.signals[signal]));
  }
  // An error that nothing awaits must not leave shops behind. Once everything stops, it is only a consequence.
  process.on('uncaughtException', (error) => {
    if (interrupted) return;
    console.error(error);
    void stop(1);
  });

  try {
    await run(resources);
  } catch (error) {
    // An interruption ends programs that the run still waits for.
    if (!interrupted) console.error(error);
    process.exitCode = 1;
  } finally {
    await resources.release();
  }
}
