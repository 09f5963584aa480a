import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { temporaryFolder } from '../support/system.ts';
import { until, whenDone } from '../support/wait.ts';

const READY_MS = 180_000;
export const CTRL_C = '\x03';

/** The addresses that the shop prints. */
export interface Addresses {
  readonly shop: string;
  readonly metrics: string;
}

export interface Terminal {
  readonly pid: number;
  readonly dataDir: string;
  output(): string;
  /** Waits for the addresses that the shop prints when it is ready, for those of the start number `starts`. */
  ready(starts?: number): Promise<Addresses>;
  /** @returns the exit code of the command */
  press(key: string): Promise<number | null>;
}

/**
 * Runs a command as a person would, at a terminal that script(1) gives it; a shop in it has two workers and free ports.
 * `exec` keeps the command's exit code: a shell such as dash would exit with 130 after any Ctrl-C.
 */
export async function openTerminal(
  t: TestContext,
  command: string,
  options: { folder: string; dataDir?: string },
): Promise<Terminal> {
  const dataDir = options.dataDir ?? (await temporaryFolder(t));
  const terminal = spawn('script', ['--quiet', '--flush', '--return', '--command', `exec ${command}`, '/dev/null'], {
    cwd: options.folder,
    env: { ...process.env, PORT: '0', METRICS_PORT: '0', HOST: '127.0.0.1', DATA_DIR: dataDir, WORKERS: '2' },
  });
  let output = '';
  for (const stream of [terminal.stdout, terminal.stderr]) stream.on('data', (text) => (output += text));
  const closed = once(terminal, 'close');
  whenDone(t, async () => {
    // Hangs up: the command at the terminal receives SIGHUP and ends.
    if (terminal.exitCode === null) terminal.kill('SIGHUP');
    await closed;
  });
  return {
    pid: terminal.pid as number,
    dataDir,
    output: () => output,
    async ready(starts = 1) {
      const addresses =
        /the shop +(http:\S+)\s+the live page +http:\S+\s+its metrics +(http:\S+)\s+to stop it +Ctrl-C/g;
      const found = await until(
        'it is ready',
        () => [...output.matchAll(addresses)][starts - 1] ?? (terminal.exitCode !== null && [output]),
        READY_MS,
      );
      const [, shop, metrics] = found;
      if (shop === undefined || metrics === undefined) throw new Error(`the command ended:\n${output}`);
      return { shop, metrics };
    },
    async press(key) {
      terminal.stdin.write(key);
      const [code] = await closed;
      return code;
    },
  };
}
