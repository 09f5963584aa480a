import type { Runtime } from 'node:inspector';
import { readPositions } from './positions.ts';
import type { Answer, Question } from './questions.ts';
import { takeHeap, takeProfile } from './samples.ts';
import { BlockedError, withSession } from './session.ts';

const MOST_FRAMES = 100;

/** A call on the stack: its function, its script, and from 1 the line and the column. */
type Frame = [functionName: string | null, url: string | null, line: number, column: number];

/** Name of the script that reads the stack, which is on the stack itself. */
const READER = 'fake-shop-stack-reader';
/**
 * Run by the main thread between two steps of its own work, on top of the stack. It restores what it sets before it
 * returns.
 *
 * The debugger's own pause would also give the stack, but it looks into the scopes of each call, and V8 sometimes fails at
 * that, which ends the process: with Node.js 20.20 about once in a hundred pauses of a busy worker.
 */
const READ_STACK = `(() => {
  const { prepareStackTrace, stackTraceLimit } = Error;
  try {
    Error.stackTraceLimit = Infinity;
    Error.prepareStackTrace = (_, calls) => calls
      .filter((call) => !call.isAsync() && call.getScriptNameOrSourceURL() !== ${JSON.stringify(READER)})
      .map((call) => [
        call.getFunctionName(), call.getScriptNameOrSourceURL(), call.getLineNumber(), call.getColumnNumber(),
      ]);
    return new Error().stack;
  } finally {
    Error.prepareStackTrace = prepareStackTrace;
    Error.stackTraceLimit = stackTraceLimit;
  }
})()
//# sourceURL=${READER}`;

/** Answers questions about the main thread of this process; called in another thread. Never throws. */
export async function askMainThread(question: Question): Promise<Answer> {
  try {
    switch (question.what) {
      case 'stack':
        return { ok: true, text: await takeStack(question.deadlineMs) };
      case 'profile':
        return { ok: true, text: await takeProfile(question.seconds, question.deadlineMs) };
      case 'heap':
        return { ok: true, text: await takeHeap(question.seconds, question.deadlineMs) };
    }
  } catch (error) {
    if (error instanceof BlockedError) return { ok: false, why: 'blocked', reason: BLOCKED };
    return { ok: false, why: 'failed', reason: error instanceof Error ? error.message : String(error) };
  }
}

const BLOCKED =
  'the main thread did not answer in time: it is inside one long call of native code, such as a synchronous one of node:fs, node:crypto or node:zlib, or it gets no time on a processor';

/**
 * Interrupts the main thread for as long as it takes to read where it is, less than a millisecond.
 *
 * @returns the stack as text, the innermost call first
 */
async function takeStack(deadlineMs: number): Promise<string> {
  const { result } = await withSession(
    deadlineMs,
    (post) =>
      post('Runtime.evaluate', {
        expression: READ_STACK,
        returnByValue: true,
        silent: true,
        disableBreaks: true,
      }) as Promise<Runtime.EvaluateReturnType>,
  );
  const frames = result.value as Frame[];
  if (frames.length === 0) return 'idle: it runs no JavaScript and waits for events';
  const positions = readPositions();
  const lines = frames.slice(0, MOST_FRAMES).map(([functionName, url, atLine, atColumn]) => {
    const { file, line, column } = positions.find(url ?? '', atLine - 1, atColumn - 1);
    return `    at ${functionName || '<anonymous>'} (${file}:${line}:${column})`;
  });
  const more = frames.length > MOST_FRAMES ? [`    … ${frames.length - MOST_FRAMES} more`] : [];
  return ['runs', ...lines, ...more].join('\n');
}
