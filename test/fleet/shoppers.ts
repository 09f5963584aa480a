import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import { CUSTOMER, createVisitor, DECLINED_CARD, type Page, PIX_BUYER } from '../support/visitor.ts';
import { whenDone } from '../support/wait.ts';

/** What the shoppers did and saw, to be compared with what the shop has counted. */
export interface Tally {
  /** Answers by method, route and status, such as `GET /detail/:id 200`. */
  readonly answers: Map<string, number>;
  /** Successful additions, and units in them, by the product's slug. */
  readonly additions: Map<string, number>;
  readonly units: Map<string, number>;
  /** Attempts to order by how they ended. */
  readonly orders: Map<string, number>;
  /** Bytes of the body of each answer. */
  readonly sizes: number[];
  /** Requests without an answer of the shop, each with what was asked. */
  readonly failures: string[];
}

export interface Shoppers {
  readonly tally: Tally;
  /** Holds all shoppers back; resolves when no request is under way. */
  pause(): Promise<void>;
  resume(): void;
  /** Resolves when the last answer is there. */
  stop(): Promise<Tally>;
}

export interface ShoppersOptions {
  count: number;
  /** Wait of each shopper between two requests, in milliseconds. Default 0. */
  pauseMs?: number;
  /** Every second shopper makes a new connection for each request. The others keep theirs. Default: all keep theirs. */
  newConnections?: boolean;
  /** Every third order is paid by Pix, of the simulated provider. Default: all are paid by card. */
  pix?: boolean;
  products: ReadonlyArray<{ id: number; slug: string }>;
}

/** Adds to one of the counts of a tally. */
export function count(counts: Map<string, number>, key: string, value = 1): void {
  counts.set(key, (counts.get(key) ?? 0) + value);
}

/** Starts shoppers that look, fill a cart and order, again and again, each with a session of its own. */
export function startShoppers(t: TestContext, origin: string, options: ShoppersOptions): Shoppers {
  const { products, pauseMs = 0 } = options;
  const tally: Tally = {
    answers: new Map(),
    additions: new Map(),
    units: new Map(),
    orders: new Map(),
    sizes: [],
    failures: [],
  };
  let stopped = false;
  let passage = Promise.resolve();
  let open = () => {};
  const underWay = new Set<Promise<unknown>>();

  /** @param isDue also when the shoppers stop: a Pix is not left open */
  async function ask(route: string, send: () => Promise<Page>, isDue = false): Promise<Page | undefined> {
    await passage;
    if (stopped && !isDue) return undefined;
    const answer = send().catch((error) => {
      tally.failures.push(`${route}: ${inspect(error.cause ?? error)}`);
      return undefined;
    });
    underWay.add(answer);
    const page = await answer;
    underWay.delete(answer);
    if (page?.status === 502 || (page?.status === 503 && !page.headers.has('retry-after'))) {
      tally.failures.push(`${route}: the balancer's own ${page.status}`);
    } else if (page) {
      count(tally.answers, `${route} ${page.status}`);
      tally.sizes.push(Buffer.byteLength(page.text));
    }
    await sleep(pauseMs);
    return page;
  }

  async function shop(index: number): Promise<void> {
    const headers: Record<string, string> = { 'accept-encoding': 'identity' };
    if (options.newConnections && index % 2 === 1) headers.connection = 'close';
    // Shoppers begin with different products and cards.
    for (let round = index * 5; !stopped; round++) {
      const visitor = createVisitor(origin);
      const { id, slug } = products[round % products.length] as (typeof products)[number];
      const quantity = 1 + (round % 3);
      await ask('GET /', () => visitor.get('/', headers));
      await ask('GET /detail/:id', () => visitor.get(`/detail/${id}`, headers));
      const added = await ask('POST /add_to_cart/:id', () => visitor.post(`/add_to_cart/${id}`, { quantity }, headers));
      if (added?.status === 302) {
        count(tally.additions, slug);
        count(tally.units, slug, quantity);
      }
      await ask('GET /cart', () => visitor.get('/cart', headers));
      const form = round % 4 === 0 ? { ...CUSTOMER, card_number: DECLINED_CARD } : CUSTOMER;
      const isByPix = options.pix && round % 3 === 0;
      const ordered = await ask('POST /checkout', () => visitor.post('/checkout', isByPix ? PIX_BUYER : form, headers));
      let { location } = ordered ?? {};
      if (location?.startsWith('/pix/')) {
        const page = location;
        const simulate = () => visitor.post(`${page}/simulation`, { outcome: 'paid' }, headers);
        await ask('POST /pix/:reference/simulation', simulate, true);
        ({ location } = (await ask('GET /pix/:reference', () => visitor.get(page, headers), true)) ?? {});
      }
      if (location?.startsWith('/order_confirmation/')) {
        count(tally.orders, 'paid');
        const confirmation = location;
        await ask('GET /order_confirmation/:number', () => visitor.get(confirmation, headers));
      } else if (ordered?.status === 422) count(tally.orders, 'declined');
    }
  }

  const all = Promise.all(Array.from({ length: options.count }, (_, index) => shop(index)));
  async function stop(): Promise<Tally> {
    stopped = true;
    open();
    await all;
    return tally;
  }
  whenDone(t, stop);
  return {
    tally,
    async pause() {
      passage = new Promise((resolve) => {
        open = resolve;
      });
      await Promise.all(underWay);
    },
    resume: () => open(),
    stop,
  };
}
