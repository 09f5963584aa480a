import type { Duplex } from 'node:stream';
import { type Deferred, deferred, withDeadline } from '../promises.ts';
import { type Answer, type Question, readLines, type SentAnswer, type SentQuestion } from './questions.ts';

const SECOND_MS = 1000;
/** For the thread of the worker itself, beside the time that it gives the main thread. */
const THREAD_MS = 1 * SECOND_MS;

/** Asks one worker about its main thread. */
export interface Inquiries {
  /** Never throws. */
  ask(question: Question): Promise<Answer>;
}

const GONE: Answer = { ok: false, why: 'gone', reason: 'its process has ended' };
const SILENT: Answer = {
  ok: false,
  why: 'blocked',
  reason: 'no thread of its process answers: it is stopped (SIGSTOP), still starts, or gets no time on a processor',
};

/** @param pipe to the worker's second thread; null if there is none, as when the system refused to fork */
export function createInquiries(pipe: Duplex | null): Inquiries {
  const waiting = new Map<number, Deferred<Answer>>();
  let lastId = 0;
  let isOpen = pipe !== null;

  function close(): void {
    isOpen = false;
    for (const { resolve } of waiting.values()) resolve(GONE);
    waiting.clear();
  }
  pipe?.on(
    'data',
    readLines(({ id, answer }: SentAnswer) => waiting.get(id)?.resolve(answer)),
  );
  // A worker that dies resets the pipe.
  pipe?.on('error', close);
  pipe?.on('close', close);

  return {
    async ask(question) {
      if (!pipe || !isOpen) return GONE;
      lastId += 1;
      const id = lastId;
      const answer = deferred<Answer>();
      waiting.set(id, answer);
      const sent: SentQuestion = { id, question };
      pipe.write(`${JSON.stringify(sent)}\n`);
      const sampledMs = question.what === 'stack' ? 0 : question.seconds * SECOND_MS;
      try {
        return await withDeadline(answer.promise, sampledMs + question.deadlineMs + THREAD_MS, () => new Error());
      } catch {
        return SILENT;
      } finally {
        waiting.delete(id);
      }
    },
  };
}
