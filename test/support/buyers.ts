import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import pg from 'pg';
import { CUSTOMER, createVisitor, type Page } from './visitor.ts';
import { whenDone } from './wait.ts';

/** The orders and answers of the buyers. */
export interface Purchases {
  /** Numbers of the acknowledged orders. */
  readonly orders: string[];
  /** Answers by status. */
  readonly statuses: Map<number, number>;
  /** Answers that no buyer should get, and requests without an answer. */
  readonly complaints: string[];
  /** The slowest answer in milliseconds. */
  slowestMs: number;
}

export interface Buyers {
  readonly purchases: Purchases;
  /** Stops after the requests under way. */
  stop(): Promise<Purchases>;
}

const PRODUCT = 1;
const SHELF = 1_000_000;
const PAUSE_MS = 20;

/** Starts visitors who add a product and order it, again and again, after any answer. */
export function startBuyers(t: TestContext, origin: string, count: number): Buyers {
  const purchases: Purchases = { orders: [], statuses: new Map(), complaints: [], slowestMs: 0 };
  let open = true;

  async function ask(what: string, request: Promise<Page>): Promise<Page | undefined> {
    const startedMs = performance.now();
    try {
      const page = await request;
      purchases.slowestMs = Math.max(purchases.slowestMs, performance.now() - startedMs);
      purchases.statuses.set(page.status, (purchases.statuses.get(page.status) ?? 0) + 1);
      if (![200, 302, 503].includes(page.status)) purchases.complaints.push(`${what}: ${page.status} ${page.text}`);
      if (page.status === 503) {
        if (!page.headers.has('retry-after')) purchases.complaints.push(`${what}: no Retry-After`);
        if (!page.text.includes('problema passageiro')) purchases.complaints.push(`${what}: ${page.text}`);
      }
      return page;
    } catch (error) {
      purchases.complaints.push(`${what}: ${inspect(error)}`);
      return undefined;
    }
  }

  async function buy(): Promise<void> {
    while (open) {
      const visitor = createVisitor(origin);
      await ask('GET product', visitor.get(`/detail/${PRODUCT}`));
      await ask('add', visitor.post(`/add_to_cart/${PRODUCT}`, { quantity: 1 }));
      const ordered = await ask('checkout', visitor.post('/checkout', CUSTOMER));
      const [, number] = /^\/order_confirmation\/(.+)$/.exec(ordered?.location ?? '') ?? [];
      if (number) purchases.orders.push(number);
      await sleep(PAUSE_MS);
    }
  }

  const all = Promise.all(Array.from({ length: count }, buy));
  async function stop(): Promise<Purchases> {
    open = false;
    await all;
    return purchases;
  }
  whenDone(t, stop);
  return { purchases, stop };
}

/** Sets a stock that the buyers cannot exhaust. */
export async function fillShelf(url: string): Promise<void> {
  await withClient(url, (client) => client.query('update products set stock = $1 where id = $2', [SHELF, PRODUCT]));
}

/** Asserts that orders, carts and the stock of {@link fillShelf} are consistent and that no acknowledged order is lost. */
export async function assertWholeOrders(url: string, acknowledged: readonly string[]): Promise<void> {
  await withClient(url, async (client) => {
    const { rows: halves } = await client.query(
      `select orders.number from orders
       left join order_items on order_items.order_id = orders.id
       left join carts on carts.id = orders.cart_id
       group by orders.id, carts.status
       having count(order_items.order_id) = 0
         or sum(order_items.unit_price_cents * order_items.quantity) <> orders.subtotal_cents
         or orders.subtotal_cents + orders.shipping_cents <> orders.total_cents
         or carts.status is distinct from 'ordered'`,
    );
    assert.deepEqual(halves, [], 'half-made orders');

    const { rows: lost } = await client.query(
      `select carts.id from carts left join orders on orders.cart_id = carts.id
       where carts.status = 'ordered' and orders.id is null`,
    );
    assert.deepEqual(lost, [], 'carts that are ordered without an order');

    const { rows: shelf } = await client.query(
      `select products.stock + coalesce(sum(order_items.quantity), 0)::int as units
       from products left join order_items on order_items.product_id = products.id
       where products.id = $1 group by products.id`,
      [PRODUCT],
    );
    assert.deepEqual(shelf, [{ units: SHELF }], 'units on the shelf and in orders');

    const { rows: kept } = await client.query('select number from orders');
    const numbers = new Set(kept.map(({ number }) => number));
    assert.deepEqual(
      acknowledged.filter((number) => !numbers.has(number)),
      [],
      'orders that were acknowledged and are gone',
    );
  });
}

async function withClient(url: string, work: (client: pg.Client) => Promise<unknown>): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000 });
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}
