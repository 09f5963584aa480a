import type { Debugger } from 'node:inspector';
import { readPositions } from './positions.ts';
import type { Answer, Question } from './questions.ts';
import { takeHeap, takeProfile } from './samples.ts';
import { BlockedError, withSession } from './session.ts';

const MOST_FRAMES = 100;
/** Name of the one line that an idle main thread is given to run. */
const PROBE = 'fake-shop-probe';

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
 * Pauses the main thread for as long as it takes to read where it is, a few milliseconds.
 *
 * @returns the stack as text, the innermost call first
 */
async function takeStack(deadlineMs: number): Promise<string> {
  const urls = new Map<string, string>();
  const frames = await withSession(deadlineMs, async ({ session, post }) => {
    let isAsked = false;
    session.on('Debugger.scriptParsed', ({ params }) => urls.set(params.scriptId, params.url));
    const paused = new Promise<Debugger.CallFrame[]>((resolve, reject) => {
      session.on('Debugger.paused', ({ params }) => {
        resolve(params.callFrames);
        // A main thread that stood at a breakpoint before stays there: somebody else debugs it.
        if (isAsked) post('Debugger.resume').catch(reject);
      });
    });
    await post('Debugger.enable');
    isAsked = true;
    await post('Debugger.pause');
    // An idle main thread would pause only at its next event.
    void post('Runtime.evaluate', { expression: `0\n//# sourceURL=${PROBE}`, silent: true });
    return await paused;
  });
  const positions = readPositions();
  const lines = frames.flatMap(({ functionName, location: { scriptId, lineNumber, columnNumber = 0 } }) => {
    const url = urls.get(scriptId) ?? '';
    if (url === PROBE) return [];
    const { file, line, column } = positions.find(url, lineNumber, columnNumber);
    return [`    at ${functionName || '<anonymous>'} (${file}:${line}:${column})`];
  });
  if (lines.length === 0) return 'idle: it runs no JavaScript and waits for events';
  const more = lines.length > MOST_FRAMES ? [`    … ${lines.length - MOST_FRAMES} more`] : [];
  return ['runs', ...lines.slice(0, MOST_FRAMES), ...more].join('\n');
}
