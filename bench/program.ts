import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ReleaseStack } from '../src/cluster/release.ts';

/** A process of the benchmark that answers questions, one at a time. */
export interface Program<Question, Answer> {
  pid: number;
  /** @throws when the process ends before its answer */
  ask(question: Question): Promise<Answer>;
  stop(): Promise<void>;
}

const END_DEADLINE_MS = 15_000;

/**
 * Starts a program of `bench/programs`, which ends with `resources` or when this process has gone.
 *
 * @param options.outputFd where its output goes; default: the terminal's stderr
 * @param options.execArgv more flags for Node.js
 */
export function startProgram<Question, Answer>(
  name: string,
  resources: ReleaseStack,
  { outputFd = 2, execArgv = [] }: { outputFd?: number; execArgv?: readonly string[] } = {},
): Program<Question, Answer> {
  const file = fileURLToPath(new URL(`./programs/${name}.js`, import.meta.url));
  const child = fork(file, {
    execArgv: ['--enable-source-maps', ...execArgv],
    stdio: ['ignore', outputFd, 2, 'ipc'],
  });

  async function stop(): Promise<void> {
    if (child.connected) child.disconnect();
    await ended(child);
  }
  resources.add(child, stop);

  return {
    pid: child.pid as number,
    stop,
    async ask(question) {
      const waiting = new AbortController();
      try {
        child.send(question as object);
        return await Promise.race([
          once(child, 'message', { signal: waiting.signal }).then(([answer]) => answer as Answer),
          once(child, 'exit', { signal: waiting.signal }).then(([code]) => {
            throw new Error(`${basename(file)} ended with code ${code}`);
          }),
        ]);
      } finally {
        waiting.abort();
      }
    },
  };
}

/** Waits for the end of a process that has been told to end, and kills it at a deadline. */
export async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const timer = setTimeout(() => child.kill('SIGKILL'), END_DEADLINE_MS);
  await once(child, 'exit');
  clearTimeout(timer);
}
