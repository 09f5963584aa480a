import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { Frame, FrameChange, Hello, Mark, Structure } from '../../src/ops/live/model.ts';
import type { RunningCluster } from './cluster.ts';
import { until, whenDone } from './wait.ts';

/** A viewer of the live page, without a browser: what the stream has said so far. */
export interface LiveViewer {
  /** The newest frame as a whole. */
  frame(): Frame;
  /** A number by its key; undefined while it is not there. */
  value(key: string): number | null | undefined;
  structure(): Structure;
  marks(): readonly Mark[];
  /** Frames since the first. */
  frames(): number;
  /** Whether the server has ended the stream. */
  ended(): boolean;
  /** Ends the stream from this side. */
  leave(): void;
}

/** Opens the stream, waits for its first event, and follows it until the test ends. */
export async function watchLive(
  t: TestContext,
  { opsUrl }: Pick<RunningCluster, 'opsUrl'>,
  headers: Record<string, string> = {},
): Promise<LiveViewer> {
  const abort = new AbortController();
  whenDone(t, () => abort.abort());
  const response = await fetch(`${opsUrl}/live/stream`, { headers, signal: abort.signal });
  assert.equal(response.status, 200);
  assert.equal(response.headers.get('content-type'), 'text/event-stream');
  assert.equal(response.headers.get('cache-control'), 'no-store');

  let hello: Hello | null = null;
  let frame: Frame | null = null;
  let frames = 0;
  let isEnded = false;
  const marks: Mark[] = [];

  function take(name: string, data: unknown): void {
    if (name === 'hello') {
      hello = data as Hello;
      frame = hello.frame;
    } else if (name === 'frame') {
      const change = data as FrameChange;
      assert.ok(frame, 'hello comes first');
      frame = { ...frame, ...change, values: { ...frame.values, ...change.values } };
      frames += 1;
    } else if (name === 'structure' && hello) {
      hello = { ...hello, structure: data as Structure };
    } else if (name === 'mark') marks.push(data as Mark);
  }

  async function follow(): Promise<void> {
    let text = '';
    const decoder = new TextDecoder();
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
      text += decoder.decode(chunk, { stream: true });
      const events = text.split('\n\n');
      text = events.pop() ?? '';
      for (const event of events) {
        const [, name = '', data = ''] = /^event: (\w+)\ndata: (.+)$/.exec(event) ?? [];
        take(name, JSON.parse(data));
      }
    }
  }
  void follow()
    .catch((error) => {
      if (!abort.signal.aborted && error.message !== 'terminated') throw error;
    })
    .finally(() => {
      isEnded = true;
    });

  const known = await until('the stream says hello', () => hello);
  return {
    frame: () => frame ?? known.frame,
    value: (key) => frame?.values[key],
    structure: () => hello?.structure ?? known.structure,
    marks: () => marks,
    frames: () => frames,
    ended: () => isEnded,
    leave: () => abort.abort(),
  };
}
