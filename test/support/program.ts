import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { until, whenDone } from './wait.ts';

/** A program of the system, such as HAProxy, in a process of its own. */
export interface Program {
  readonly pid: number;
  /** Its standard output and standard error so far. */
  output(): string;
  signal(name: NodeJS.Signals): void;
  /** Sends `SIGTERM`, or another signal, and waits until the process has ended; does nothing when it has. */
  stop(signal?: NodeJS.Signals): Promise<void>;
}

export interface ProgramOptions {
  /** The Debian package that has it, for the error when it is missing. */
  package: string;
  /** Whether the program serves; an exception counts as not yet. */
  ready(output: string): unknown;
  /** A user and a group of the system to run as; needs root. Default: those of the test. */
  user?: { name: string; group: string };
  /** Default: this process's folder. */
  cwd?: string;
  /** Added to the variables of this process. */
  env?: Record<string, string>;
}

const START_DEADLINE_MS = 60_000;

/**
 * Starts a program and waits until it is ready. It is stopped when the test ends.
 *
 * @throws with its output when it ends before it is ready, or is not ready within a minute
 */
export async function startProgram(
  t: TestContext,
  program: string,
  args: readonly string[],
  options: ProgramOptions,
): Promise<Program> {
  const { user } = options;
  const asUser = user ? ['setpriv', `--reuid=${user.name}`, `--regid=${user.group}`, '--clear-groups'] : [];
  const [command = '', ...rest] = [...asUser, program, ...args];
  const child = spawn(command, rest, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
    ...(options.cwd !== undefined && { cwd: options.cwd }),
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (text) => {
      output += text;
    });
  }
  const ended = once(child, 'exit').then(
    ([code, signal]) => `it ended with ${code ?? signal}`,
    (error: Error) => error.message,
  );
  let end: string | undefined;
  ended.then((how) => {
    end = how;
  });

  async function stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (end === undefined) child.kill(signal);
    await ended;
  }
  whenDone(t, () => stop());

  const isReady = async () => end !== undefined || options.ready(output);
  await until(`${program} is ready`, isReady, START_DEADLINE_MS).catch((error) => {
    throw new Error(`${error.message}\n${output}`);
  });
  if (end !== undefined) {
    throw new Error(`${program} (Debian's package ${options.package}) did not start: ${end}\n${output}`);
  }
  return {
    pid: child.pid as number,
    output: () => output,
    signal: (name) => process.kill(child.pid as number, name),
    stop,
  };
}
