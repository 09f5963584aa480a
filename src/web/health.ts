import type { Knex } from 'knex';
import { askWritable } from '../db/index.ts';
import { withDeadline } from '../promises.ts';
import type { WebContext } from './state.ts';

/** Readiness depends on these. */
export interface Readiness {
  readonly database: Knex;
  /** Be ready while the database is away. */
  readonly readyWithoutDatabase: boolean;
  /** False while the worker starts or drains. */
  ready(): boolean;
}

/** A database that needs longer for an empty query serves no page in time. Balancers seldom wait longer either. */
const READY_DEADLINE_MS = 1_000;

/** `GET /livez`: this worker answers. */
export function showLive(ctx: WebContext): void {
  answer(ctx, 200, 'up');
}

/** `GET /readyz`: this worker can serve, or, where readiness leaves the database out, can answer at least. */
export async function showReady(ctx: WebContext, { database, ready, readyWithoutDatabase }: Readiness): Promise<void> {
  if (!ready()) return answer(ctx, 503, 'starting or stopping');
  if (readyWithoutDatabase) return answer(ctx, 200, 'ready');
  try {
    await withDeadline(askWritable(database), READY_DEADLINE_MS, () => new Error('too late'));
    answer(ctx, 200, 'ready');
  } catch {
    answer(ctx, 503, 'the database does not answer, or takes no writes');
  }
}

function answer(ctx: WebContext, status: number, text: string): void {
  ctx.status = status;
  ctx.type = 'text/plain';
  ctx.set('Cache-Control', 'no-store');
  ctx.body = `${text}\n`;
}
