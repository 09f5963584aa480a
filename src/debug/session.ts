import { Session } from 'node:inspector';
import { withDeadline } from '../promises.ts';

/** The main thread did not answer before the deadline. */
export class BlockedError extends Error {
  override readonly name = 'BlockedError';
}

/** The sessions that are open now. */
const open = new Set<Session>();

/** Ends all sessions: Node.js does not exit before. */
export function endSessions(): void {
  for (const session of open) session.disconnect();
}

/**
 * Asks V8's inspector of the main thread.
 *
 * @param method of the protocol, https://chromedevtools.github.io/devtools-protocol/v8/
 * @returns its result, when the main thread has answered
 */
export type Post = (method: string, parameters?: object) => Promise<unknown>;

/**
 * Works with the inspector of the main thread, without a port. What the work has switched on there ends with it, also at
 * the deadline.
 *
 * @param deadlineMs for the whole work
 * @throws {BlockedError} at the deadline
 */
export async function withSession<T>(deadlineMs: number, work: (post: Post) => Promise<T>): Promise<T> {
  const session = new Session();
  session.connectToMainThread();
  open.add(session);
  const post: Post = (method, parameters) => {
    const answer = new Promise<unknown>((resolve, reject) => {
      session.post(method, parameters, (error, result) => (error ? reject(error) : resolve(result)));
    });
    // The end of the session rejects unanswered questions, also those that no caller waits for any more.
    answer.catch(() => {});
    return answer;
  };
  try {
    return await withDeadline(work(post), deadlineMs, () => new BlockedError());
  } finally {
    open.delete(session);
    session.disconnect();
  }
}
