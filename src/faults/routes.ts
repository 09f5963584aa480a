import { labelQuery } from '../db/query-labels.ts';
import type { Route, Shop, ShopRequest } from '../shop/route.ts';
import type { FaultName } from './names.ts';
import { loopFor } from './threads.ts';

/** A fault of the code of one route. */
interface RouteFault {
  readonly name: FaultName;
  readonly method: Route['method'];
  readonly path: string;
  /** Runs before the route; an error that it throws is the route's. */
  act(request: ShopRequest, shop: Shop): void | Promise<void>;
  /** Gives back what it has taken. */
  end?(): void;
}

/** The faults of all routes. */
export interface RouteFaults {
  /** A route without a fault stays as it is. */
  wrap(routes: readonly Route[]): readonly Route[];
  /** Called when a fault has ended. */
  ended(name: FaultName): void;
}

/**
 * Makes the routes' own code fail.
 *
 * @param isOn whether a fault is on now
 */
export function createRouteFaults(isOn: (name: FaultName) => boolean): RouteFaults {
  const faults = [slowCode(), badRelease(), cartBug(), slowQuery(), memoryLeak(), poolLeak(isOn)];

  return {
    wrap(routes) {
      return routes.map((route) => {
        const own = faults.filter(({ method, path }) => method === route.method && path === route.path);
        if (own.length === 0) return route;
        return {
          ...route,
          async handle(request, shop) {
            for (const { name, act } of own) if (isOn(name)) await act(request, shop);
            return route.handle(request, shop);
          },
        };
      });
    },
    ended(name) {
      faults.find((fault) => fault.name === name)?.end?.();
    },
  };
}

/** Of each checkout. */
const SLOW_CODE_MS = 200;

function slowCode(): RouteFault {
  return {
    name: 'slow_code',
    method: 'POST',
    path: '/checkout',
    act: function compareAllOffers() {
      loopFor(SLOW_CODE_MS);
    },
  };
}

/** One page in so many fails: 5 %. */
const FAILING_PAGES = 20;

function badRelease(): RouteFault {
  let pages = 0;
  return {
    name: 'bad_release',
    method: 'GET',
    path: '/shop',
    act: function showNewBanner() {
      pages += 1;
      if (pages % FAILING_PAGES === 0) throw new Error('bad_release: the new banner has no text');
    },
  };
}

/** Percent by the last digit of a product's id. The fault: 0 and 5 are missing. */
const DISCOUNTS: readonly ({ readonly percent: number } | undefined)[] = [
  undefined,
  ...[1, 2, 3, 4].map(() => ({ percent: 0 })),
];

function cartBug(): RouteFault {
  return {
    name: 'cart_bug',
    method: 'POST',
    path: '/add_to_cart/:id',
    act: function applyDiscount({ params }) {
      discountOf(Number(params.id));
    },
  };
}

/** A `TypeError` for every fifth product. */
function discountOf(productId: number): number {
  const discount = DISCOUNTS[productId % DISCOUNTS.length] as { readonly percent: number };
  return discount.percent;
}

/** Takes PostgreSQL some tenths of a second of CPU. */
const READ_ALL = `select count(*) from generate_series(1, 1200000) as item where md5(item::text) = 'not there'`;

function slowQuery(): RouteFault {
  return {
    name: 'slow_query',
    method: 'GET',
    path: '/cart',
    async act(_request, { database }) {
      // The tables of a demonstration are too small to be slow without an index.
      await labelQuery(database.raw(READ_ALL), 'select', 'carts');
    },
  };
}

/** 250 KB for each page. */
const KEPT_NUMBERS = 31_250;
/** 400 MB: enough to be seen, and less than a worker's heap may hold. */
const MOST_KEPT = 1_600;

function memoryLeak(): RouteFault {
  let kept: number[][] = [];
  return {
    name: 'memory_leak',
    method: 'GET',
    path: '/detail/:id',
    act: function rememberVisit() {
      if (kept.length < MOST_KEPT) kept.push(Array.from({ length: KEPT_NUMBERS }, (_, i) => i / 2));
    },
    end() {
      kept = [];
    },
  };
}

/** @param isOn whether a fault is on now */
function poolLeak(isOn: (name: FaultName) => boolean): RouteFault {
  /** What gives each connection back. */
  let leaked: (() => void)[] = [];
  return {
    name: 'pool_leak',
    method: 'GET',
    path: '/cart',
    async act(_request, { database }) {
      const connection = await database.client.acquireConnection();
      const release = () => void database.client.releaseConnection(connection);
      // It came after the end.
      if (isOn('pool_leak')) leaked.push(release);
      else release();
    },
    end() {
      for (const release of leaked) release();
      leaked = [];
    },
  };
}
