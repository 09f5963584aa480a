import type { Knex } from 'knex';
import { named } from '../db/named.ts';
import type { WebContext } from './state.ts';

/** `GET /livez`: this worker answers. */
export function showLive(ctx: WebContext): void {
  answer(ctx, 200, 'up');
}

/**
 * `GET /readyz`: this worker can serve.
 *
 * @param ready false while the worker starts or drains
 */
export async function showReady(ctx: WebContext, database: Knex, ready: () => boolean): Promise<void> {
  if (!ready()) return answer(ctx, 503, 'starting or stopping');
  try {
    await named(database.raw('select 1'), 'select', 'none');
  } catch {
    return answer(ctx, 503, 'the database does not answer');
  }
  answer(ctx, 200, 'ready');
}

function answer(ctx: WebContext, status: number, text: string): void {
  ctx.status = status;
  ctx.type = 'text/plain';
  ctx.set('Cache-Control', 'no-store');
  ctx.body = `${text}\n`;
}
