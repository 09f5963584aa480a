import { Readable } from 'node:stream';
import type { Context } from 'koa';
import type { WorkerMetrics } from './metrics.ts';

/** Statuses whose body Koa leaves out; https://www.rfc-editor.org/rfc/rfc9110#section-6.4.1 */
const EMPTY_STATUSES = new Set([204, 205, 304]);

/**
 * Observes the bytes of a response's body as they are sent: at once when they are known, at the last byte of a stream,
 * never for a body that is neither; in any case before the client can have seen the end of the response.
 */
export function observeResponseSize(
  ctx: Context,
  { httpResponseSize, flush }: Pick<WorkerMetrics, 'httpResponseSize' | 'flush'>,
  labels: { method: string; route: string; status_code: string },
): void {
  const known = knownSize(ctx);
  if (known !== undefined) httpResponseSize.observe(labels, known);
  else if (ctx.body instanceof Readable) {
    countBytes(ctx.body, (bytes) => {
      httpResponseSize.observe(labels, bytes);
      flush();
    });
  }
}

function knownSize(ctx: Context): number | undefined {
  if (ctx.method === 'HEAD' || EMPTY_STATUSES.has(ctx.status)) return 0;
  // Koa answers a missing body with the status message.
  if (ctx.body === undefined || ctx.body === null) return Buffer.byteLength(ctx.message);
  return ctx.response.length;
}

/**
 * Koa pipes the body within this turn of the microtasks, so the flow that a `data` listener starts at the next tick
 * loses nothing; and since this `end` listener comes before the pipe's, it runs before the response ends, in the same
 * turn.
 */
function countBytes(body: Readable, observe: (bytes: number) => void): void {
  let bytes = 0;
  function ended(): void {
    body.off('end', ended);
    body.off('close', ended);
    observe(bytes);
  }
  body.on('data', (chunk: Buffer | string) => {
    bytes += Buffer.byteLength(chunk);
  });
  body.on('end', ended);
  body.on('close', ended);
}
