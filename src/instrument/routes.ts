import type { DefaultContext } from 'koa';

/** An address of the shop as its metrics name it. */
export interface MeasuredRoute {
  readonly method: string;
  /** The template, `/detail/:id`. */
  readonly route: string;
  /** Every status that it can answer, label `status_code`. */
  readonly statuses: readonly number[];
}

/** Label `route` of a request that no route answers. */
export const UNMATCHED = 'unmatched';

/** Label `route` of a request: the matched template as @koa/router leaves it, never the path itself. */
export function routeOf(ctx: DefaultContext): string {
  const route: unknown = ctx._matchedRoute;
  return typeof route === 'string' ? route : UNMATCHED;
}
