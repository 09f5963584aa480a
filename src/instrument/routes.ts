/** An address of the shop as its metrics name it. */
export interface MeasuredRoute {
  readonly method: string;
  /** The template, `/detail/:id`. */
  readonly route: string;
  /** Its ordinary success; default 302 for POST, which answers with a redirect, 200 for the rest. */
  readonly status?: number;
}

/** Label `route` of a request that no route answers. */
export const UNMATCHED = 'unmatched';

export function successStatus({ method, status }: MeasuredRoute): string {
  return String(status ?? (method === 'POST' ? 302 : 200));
}
