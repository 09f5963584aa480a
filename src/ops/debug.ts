import type Router from '@koa/router';
import type { Context, Middleware } from 'koa';
import type { Answer, Question } from '../debug/questions.ts';
import { isPlaceNumber, plain } from './answers.ts';
import { refuseStrangers } from './operator.ts';
import type { WorkerStatus } from './status.ts';

const SECOND_MS = 1000;
/** For the main thread to come to the answer, beside the seconds that were asked for. */
const ANSWER_MS = 3 * SECOND_MS;
const DEFAULT_SECONDS = 5;
/** With the time to answer, less than the 30 seconds that the server gives each answer. */
const MOST_SECONDS = 20;

export interface DebugOptions {
  /** The token that is required; null: only requests from this machine are answered. */
  readonly token: string | null;
  requireToken: Middleware;
  workers(): WorkerStatus[];
  /** Asks the worker in a place about its main thread. */
  ask(place: number, question: Question): Promise<Answer>;
}

/**
 * The addresses that show what the main thread of a worker does. A worker that is asked works less for its visitors, so
 * there is one answer at a time, and none for strangers.
 */
export function addDebugRoutes(router: Router, { token, requireToken, workers, ask }: DebugOptions): void {
  let isBusy = false;

  const requireOperator = refuseStrangers(token);

  /** @param show answers with the text; without one, the answer says why */
  async function answerWith(ctx: Context, question: Question, show: (text: string, worker: WorkerStatus) => void) {
    const { worker: place } = ctx.query;
    ctx.set('Cache-Control', 'no-store');
    if (!isPlaceNumber(place)) return plain(ctx, 400, 'worker must be a place number, for example ?worker=2.');
    const worker = workers().find((each) => each.worker === Number(place));
    if (!worker) return plain(ctx, 404, `There is no worker ${place}: /status lists them.`);
    if (worker.pid === null) return plain(ctx, 404, `Worker ${place} has no process now: it is started again soon.`);
    if (isBusy) {
      ctx.set('Retry-After', String(MOST_SECONDS));
      return plain(
        ctx,
        409,
        'Another question about a worker is being answered: one at a time. Try again in a moment.',
      );
    }
    isBusy = true;
    try {
      const answer = await ask(worker.worker, question);
      if (answer.ok) return show(answer.text, worker);
      const status = { gone: 404, blocked: 503, failed: 500 }[answer.why];
      plain(ctx, status, `Worker ${place}, process ${worker.pid}: ${answer.reason}.`);
    } finally {
      isBusy = false;
    }
  }

  function addSampled(
    path: string,
    what: 'profile' | 'heap',
    show: (ctx: Context, text: string, worker: WorkerStatus) => void,
  ) {
    router.get(path, requireToken, requireOperator, async (ctx) => {
      const seconds = secondsIn(ctx);
      if (seconds === null) {
        const example = `${path}?worker=2&seconds=5`;
        return plain(ctx, 400, `seconds must be a whole number from 1 to ${MOST_SECONDS}, for example ${example}.`);
      }
      await answerWith(ctx, { what, seconds, deadlineMs: ANSWER_MS }, (text, worker) => show(ctx, text, worker));
    });
  }

  router.get('/debug/stack', requireToken, requireOperator, async (ctx) => {
    await answerWith(ctx, { what: 'stack', deadlineMs: ANSWER_MS }, (text, worker) => {
      plain(
        ctx,
        200,
        `worker ${worker.worker}, process ${worker.pid}, ${new Date().toISOString()}, main thread ${text}`,
      );
    });
  });

  addSampled('/debug/profile', 'profile', (ctx, text, { worker, pid }) => {
    ctx.type = 'application/json';
    ctx.attachment(`worker-${worker}-${pid}-${new Date().toISOString().replaceAll(':', '')}.cpuprofile`, {
      fallback: false,
    });
    ctx.body = text;
  });

  addSampled('/debug/heap', 'heap', (ctx, text, { worker, pid }) => {
    plain(ctx, 200, `worker ${worker}, process ${pid}, ${new Date().toISOString()}\n\n${text}`);
  });
}

/** @returns null for anything that is no number of seconds */
function secondsIn({ query: { seconds = String(DEFAULT_SECONDS) } }: Context): number | null {
  if (typeof seconds !== 'string' || !/^[1-9]\d?$/.test(seconds)) return null;
  return Number(seconds) <= MOST_SECONDS ? Number(seconds) : null;
}
