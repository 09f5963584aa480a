import type { Context } from 'koa';

/** Answers with a line of text. */
export function plain(ctx: Context, status: number, text: string): void {
  ctx.status = status;
  ctx.type = 'text/plain';
  ctx.body = `${text}\n`;
}

/** Whether a parameter of the query can be the place of a worker, from 1. */
export function isPlaceNumber(value: string | string[] | undefined): value is string {
  return typeof value === 'string' && /^[1-9]\d{0,5}$/.test(value);
}
