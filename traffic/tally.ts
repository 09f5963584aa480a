import type { RouteOf } from './metrics.ts';
import { DECLINED_CARD } from './people.ts';

/** One answer of the shop, as a shopper received it. */
export interface Answered {
  readonly method: 'GET' | 'POST';
  /** With its query. */
  readonly path: string;
  /** The posted form. */
  readonly form?: URLSearchParams;
  readonly status: number;
  readonly location: string | undefined;
  /** From the request to the last byte. */
  readonly ms: number;
}

/**
 * What the shoppers did and saw. It knows only what they sent and received, and counts it under the selectors of the
 * metrics that must count the same, such as `shop_orders_total{outcome="paid"}`.
 */
export interface Tally {
  answered(answer: Answered): void;
  /** An answer did not come: the shop may have counted the request or not. @param reason such as `ECONNREFUSED` */
  unanswered(reason: string): void;
  visited(): void;
  /** The page of a Pix tells that it became no order. @param path of the page */
  pixEnded(path: string): void;
  /** @param selector of a metric, or one of {@link OwnCount} */
  of(selector: string): number;
  /** Why answers did not come. */
  readonly reasons: ReadonlySet<string>;
  /** Milliseconds of the answers, by method and route: `GET /detail/:id`. */
  readonly times: ReadonlyMap<string, readonly number[]>;
}

/** Counts that no metric has: visits, pages looked at, answers that did not come. */
export type OwnCount = 'visits' | 'pages' | 'unanswered';

/** Label `type` of `shop_errors_total`, by status. A 422 may also be a declined card, and a 503 also `database`. */
const ERROR_TYPES: Record<number, string> = {
  400: 'validation',
  403: 'forbidden',
  404: 'not_found',
  405: 'validation',
  409: 'conflict',
  413: 'validation',
  415: 'validation',
  422: 'validation',
  429: 'rate_limited',
  500: 'internal',
  503: 'overload',
};

export function createTally(routeOf: RouteOf): Tally {
  const counts = new Map<string, number>();
  const times = new Map<string, number[]>();
  const reasons = new Set<string>();
  /** Charges that the shoppers have not seen the end of, by the path of their page. */
  const openPix = new Map<string, { readonly cents: number; isGivenUp: boolean }>();

  function add(selector: string, value = 1): void {
    counts.set(selector, (counts.get(selector) ?? 0) + value);
  }

  function answered({ method, path, form, status, location, ms }: Answered): void {
    const route = routeOf(method, path);
    const key = `${method} ${route}`;
    const known = times.get(key);
    if (known) known.push(ms);
    else times.set(key, [ms]);

    if (method === 'GET' && !route.startsWith('/static/')) add('pages');
    const isDeclined = status === 422 && form?.get('card_number') === DECLINED_CARD;
    const error = isDeclined ? 'payment_declined' : ERROR_TYPES[status];
    if (error !== undefined) add(`shop_errors_total{type="${error}"}`);

    const isOrdered = location?.startsWith('/order_confirmation/');
    const cents = Number(form?.get('total_cents'));
    switch (key) {
      case 'GET /detail/:id':
        if (error === undefined) add('shop_product_views_total');
        break;
      case 'POST /add_to_cart/:id':
        if (error !== undefined) break;
        add('shop_cart_additions_total');
        add('shop_cart_units_added_total', Number(form?.get('quantity')));
        break;
      case 'POST /checkout':
        if (isOrdered) countOrder('card', cents);
        else if (location?.startsWith('/pix/')) openPix.set(location, { cents, isGivenUp: false });
        if (!isDeclined) break;
        add('shop_orders_total{outcome="declined"}');
        add('shop_payments_total{method="card",outcome="declined"}');
        break;
      case 'POST /pix/:reference/simulation': {
        const pix = openPix.get(path.replace('/simulation', ''));
        if (pix && form?.get('outcome') === 'expired') pix.isGivenUp = true;
        break;
      }
      case 'GET /pix/:reference': {
        const pix = openPix.get(path);
        if (!pix || !isOrdered) break;
        openPix.delete(path);
        countOrder('pix', pix.cents);
      }
    }
  }

  function countOrder(method: 'card' | 'pix', cents: number): void {
    add('shop_orders_total{outcome="paid"}');
    add(`shop_payments_total{method="${method}",outcome="approved"}`);
    add('shop_order_value_brl_total', cents / 100);
  }

  return {
    answered,
    unanswered(reason) {
      add('unanswered');
      reasons.add(reason);
    },
    reasons,
    visited: () => add('visits'),
    pixEnded(path) {
      const pix = openPix.get(path);
      if (!pix) return;
      openPix.delete(path);
      add(`shop_payments_total{method="pix",outcome="${pix.isGivenUp ? 'expired' : 'cancelled'}"}`);
    },
    of: (selector) => counts.get(selector) ?? 0,
    times,
  };
}
