import type { FrameChange, Hello, Mark, Structure } from '../model.ts';

const SECOND_MS = 1000;
/** A frame comes each second. After a silence of this length the connection counts as lost, as after a sleep. */
const SILENCE_MS = 6 * SECOND_MS;
const FIRST_WAIT_MS = 0.5 * SECOND_MS;
const LONGEST_WAIT_MS = 10 * SECOND_MS;

/** The events of `GET /live/stream`. */
interface Events {
  hello: Hello;
  frame: FrameChange;
  structure: Structure;
  mark: Mark;
}

export type Listeners = { readonly [Name in keyof Events]: (data: Events[Name]) => void } & {
  /** The token is missing or wrong: no further attempt follows. */
  refused(): void;
};

/** The headers of every request for numbers. `EventSource` could not send them, so the stream is read with `fetch`. */
export function headersOf(token: string | null): Record<string, string> {
  return token === null ? {} : { authorization: `Bearer ${token}` };
}

/**
 * Reads the stream for as long as the page is open, and connects again whenever it ends.
 *
 * A browser keeps six connections to a server at most, and each stream holds one. So a page in the background gives its
 * stream up when another page comes into sight, and takes it up again when it is looked at.
 */
export function keepConnected(token: string | null, listeners: Listeners): void {
  const otherPages = new BroadcastChannel('live-page-in-sight');
  let hasGivenUp = false;
  let giveUp = () => {};
  /** Ends the wait before the next attempt. */
  let wake = () => {};
  let failures = 0;

  async function connect(): Promise<'ended' | 'silent' | 'refused'> {
    const attempt = new AbortController();
    let outcome: 'ended' | 'silent' = 'ended';
    giveUp = () => attempt.abort();
    const watch = watchSilence(() => {
      outcome = 'silent';
      attempt.abort();
    });
    try {
      const response = await fetch('/live/stream', { headers: headersOf(token), signal: attempt.signal });
      if (response.status === 401) return 'refused';
      if (!response.ok || !response.body) return outcome;
      await readEvents(response.body, (name, data) => {
        watch.heard();
        failures = 0;
        // The name was sent by the primary, which knows these four.
        listeners[name as keyof Events]?.(JSON.parse(data));
      });
    } catch {
      // The connection was lost, or was silent for too long. Either way another attempt follows.
    } finally {
      watch.stop();
    }
    return outcome;
  }

  async function run(): Promise<void> {
    for (;;) {
      const outcome = await connect();
      if (outcome === 'refused') break;
      const longest = Math.min(FIRST_WAIT_MS * 2 ** failures, LONGEST_WAIT_MS);
      failures += 1;
      // A silence was a wait already. Behind a dead network it may have hit one of several idle connections that the
      // browser takes for living. Other waits are spread, so that the pages that lose a primary do not all come back at once.
      do await waitFor(outcome === 'silent' ? 0 : longest * (0.5 + Math.random() / 2));
      while (hasGivenUp);
    }
    listeners.refused();
  }

  function waitFor(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  addEventListener('online', () => wake());
  otherPages.addEventListener('message', () => {
    if (!document.hidden) return;
    hasGivenUp = true;
    giveUp();
  });
  function comeIntoSight(): void {
    if (document.hidden) return;
    hasGivenUp = false;
    otherPages.postMessage(null);
    wake();
  }
  document.addEventListener('visibilitychange', comeIntoSight);
  comeIntoSight();
  void run();
}

/** Calls once, after a silence that counts as a lost connection. */
function watchSilence(onSilence: () => void) {
  const silence = createSilence();
  const timer = setInterval(() => {
    if (silence.ms() < SILENCE_MS) return;
    clearInterval(timer);
    onSilence();
  }, SECOND_MS);
  return { heard: silence.end, stop: () => clearInterval(timer) };
}

/** Measures how long nothing was heard, also while the computer slept: some systems stop the monotonic clock then. */
export function createSilence() {
  let heard = { monoMs: performance.now(), wallMs: Date.now() };
  return {
    /** Milliseconds. Setting the clock forward looks like a sleep, until something is heard. */
    ms: () => Math.max(performance.now() - heard.monoMs, Date.now() - heard.wallMs),
    end() {
      heard = { monoMs: performance.now(), wallMs: Date.now() };
    },
  };
}

/**
 * Splits a stream into its events.
 *
 * https://html.spec.whatwg.org/multipage/server-sent-events.html
 */
async function readEvents(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  onEvent: (name: string, data: string) => void,
): Promise<void> {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split('\n\n');
    rest = blocks.pop() ?? '';
    for (const block of blocks) {
      const fields = new Map(block.split('\n').map((line) => line.split(/: ?(.*)/s, 2) as [string, string]));
      const name = fields.get('event');
      if (name !== undefined) onEvent(name, fields.get('data') ?? '');
    }
  }
}
