import { Socket } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';
import { PIPE, readLines, type SentAnswer, type SentQuestion } from './questions.ts';

/*
 * The second thread of a worker. It works also while the main thread is in an endless loop: it ends the process when the
 * primary has ended, and answers the primary's questions about the main thread.
 */

const PARENT_CHECK_MS = 500;

const parent = workerData as number;
setInterval(() => {
  if (process.ppid !== parent) process.kill(process.pid, 'SIGKILL');
}, PARENT_CHECK_MS);

const pipe = new Socket({ fd: PIPE, readable: true, writable: true });
pipe.on(
  'data',
  readLines((sent: SentQuestion) => void answer(sent)),
);
// The primary has ended; the check above ends this process.
pipe.on('error', () => pipe.destroy());

// The main thread exits.
parentPort?.once('message', async () => {
  const { endSessions } = await import('./session.ts');
  endSessions();
});

async function answer({ id, question }: SentQuestion): Promise<void> {
  // Loaded here: most workers are never asked.
  const { askMainThread } = await import('./main-thread.ts');
  const sent: SentAnswer = { id, answer: await askMainThread(question) };
  pipe.write(`${JSON.stringify(sent)}\n`);
}
