/**
 * A question of the primary about the main thread of a worker.
 *
 * `deadlineMs` is the main thread's time to answer; that of the samples comes on top.
 */
export type Question =
  /** Where it is now. */
  | { readonly what: 'stack'; readonly deadlineMs: number }
  /** The functions that it runs in the next seconds. */
  | { readonly what: 'profile'; readonly seconds: number; readonly deadlineMs: number }
  /** The size of its heap, and the functions whose allocations of the next seconds are still held at their end. */
  | { readonly what: 'heap'; readonly seconds: number; readonly deadlineMs: number };

export type Answer =
  | { readonly ok: true; readonly text: string }
  /**
   * `gone`: the process has ended; `blocked`: it did not answer in time; `failed`: the inspector refused. `reason`
   * completes the sentence "worker 2: …".
   */
  | { readonly ok: false; readonly why: 'gone' | 'blocked' | 'failed'; readonly reason: string };

/** Questions and answers travel as JSON, one a line. */
export interface SentQuestion {
  readonly id: number;
  readonly question: Question;
}
export interface SentAnswer {
  readonly id: number;
  readonly answer: Answer;
}

/** Descriptor of their pipe in the worker, after standard input, output, error, and the channel of Node.js. */
export const PIPE = 4;

/**
 * Collects bytes into lines.
 *
 * @param take called with the value of each whole line
 * @returns takes the next bytes
 */
export function readLines<T>(take: (message: T) => void): (bytes: Buffer) => void {
  let pending: Buffer[] = [];
  return function read(bytes) {
    let rest = bytes;
    for (let end = rest.indexOf('\n'); end >= 0; end = rest.indexOf('\n')) {
      const line = Buffer.concat([...pending, rest.subarray(0, end)]);
      pending = [];
      rest = rest.subarray(end + 1);
      take(JSON.parse(line.toString()) as T);
    }
    if (rest.length > 0) pending.push(rest);
  };
}
