import { pino } from 'pino';
import { number } from '../../packages/cluster-metrics/bench/table.ts';
import { products } from '../../seeds/catalogue.ts';
import { connect } from '../../src/db/index.ts';
import { CUSTOMER } from '../../test/support/visitor.ts';
import type { Bench } from '../bench.ts';
import { startCpuTimer } from '../processes.ts';
import type { LoadRequest } from '../programs/load.ts';
import type { Goal, Part } from '../report.ts';
import type { BenchShop } from '../shop.ts';
import { formatSpread, interleave, ratioSpread, spreadOf } from '../statistics.ts';
import { createBrowserVisitor, FORM } from '../visitor.ts';

const GOAL = 2;
/** The places for checkouts that one worker has now. */
const CONCURRENCY = 32;
const STOCK = 1_000_000;

const ACTIONS = ['first add to cart', 'next add to cart', 'checkout'] as const;

/** What one side did in a round. */
type Sample = Record<(typeof ACTIONS)[number], { perSecond: number; cpuMicros: number }>;

/** Adds to the cart and checkouts of this revision against those of an earlier one. */
export async function measureWrites(bench: Bench): Promise<Part> {
  const sides = [await prepare(bench, await bench.earlierShop()), await prepare(bench, await bench.shop())];
  // The first are slow, as the code is not compiled yet.
  for (const side of sides) await writeOnce(bench, side);
  const [earlier = [], now = []] = await interleave(sides, bench.effort.rounds, (side) => writeOnce(bench, side));

  const rows: string[][] = [];
  const goals: Goal[] = [];
  for (const action of ACTIONS) {
    const rate = (sample: Sample) => sample[action].perSecond;
    const cpu = (sample: Sample) => sample[action].cpuMicros;
    const ratio = ratioSpread(earlier, now, rate);
    rows.push([
      action,
      number(spreadOf(earlier.map(rate)).median),
      number(spreadOf(now.map(rate)).median),
      formatSpread(ratio),
      number(spreadOf(earlier.map(cpu)).median),
      number(spreadOf(now.map(cpu)).median),
    ]);
    goals.push({
      figure: `${action} a second, to before`,
      measured: number(ratio.median),
      goal: `≥ ${GOAL}`,
      reached: ratio.median >= GOAL,
    });
  }
  return {
    title: 'Writes before and now',
    about: `One worker of this revision against one of ${bench.earlierRevision}, ${CONCURRENCY} visitors at a time, each with a session of their own who has seen the home page. They add a product to the cart, then another, and then order both. Each revision has its own PostgreSQL; each commit is on the disk before its answer. A payment takes 20 ms.`,
    head: ['action', 'before, a second', 'now, a second', 'ratio', 'before, CPU µs', 'now, CPU µs'],
    rows,
    goals,
  };
}

interface Side {
  shop: BenchShop;
  pids: readonly number[];
  countOrders(): Promise<number>;
}

/** Fills the shelves of a shop, and makes sure that its database does not lose commits. */
async function prepare(bench: Bench, shop: BenchShop): Promise<Side> {
  const log = pino({ level: 'silent' });
  const database = bench.resources.add(
    connect(await shop.database(), { poolMax: 1, applicationName: 'bench', log }),
    (knex) => knex.destroy(),
  );
  await database('products').update({ stock: STOCK });
  const { rows } = await database.raw<{ rows: { setting: string }[] }>(
    `select setting from pg_settings where name in ('fsync', 'synchronous_commit')`,
  );
  if (rows.some(({ setting }) => setting !== 'on')) throw new Error('The database would lose commits');
  return {
    shop,
    pids: await shop.workers(),
    async countOrders() {
      const [{ count } = { count: 0 }] = await database('orders').count({ count: '*' });
      return Number(count);
    },
  };
}

async function writeOnce(bench: Bench, { shop, pids, countOrders }: Side): Promise<Sample> {
  const visitors = await meetVisitors(shop.origin, bench.effort.orders);
  const post = (path: (visitor: number) => string, fields: Record<string, string>): LoadRequest[] =>
    visitors.map((headers, i) => ({
      method: 'POST',
      path: path(i),
      headers: { ...headers, 'Content-Type': FORM },
      body: new URLSearchParams(fields).toString(),
    }));

  async function send(requests: LoadRequest[]): Promise<{ perSecond: number; cpuMicros: number }> {
    const cpuTimer = await startCpuTimer(pids);
    const length = { requests: requests.length };
    const { seconds } = await bench.load(
      { origin: shop.origin, requests, connections: Math.min(CONCURRENCY, requests.length), length },
      302,
    );
    const used = await cpuTimer();
    return { perSecond: requests.length / seconds, cpuMicros: (used / requests.length) * 1e6 };
  }

  const add = (place: number) =>
    send(post((i) => `/add_to_cart/${1 + ((i + place) % products.length)}`, { quantity: '1' }));
  const [first, next] = [await add(0), await add(1)];
  const ordersBefore = await countOrders();
  const checkouts = await send(post(() => '/checkout', CUSTOMER));
  // A checkout of an empty cart is answered with a redirect too.
  const orders = (await countOrders()) - ordersBefore;
  if (orders !== visitors.length) throw new Error(`${visitors.length} checkouts made ${orders} orders`);
  return { 'first add to cart': first, 'next add to cart': next, checkout: checkouts };
}

/** @returns the headers of each visitor */
async function meetVisitors(origin: string, count: number): Promise<Record<string, string>[]> {
  const visitors = Array.from({ length: count }, () => createBrowserVisitor(origin));
  for (let i = 0; i < count; i += CONCURRENCY) {
    await Promise.all(visitors.slice(i, i + CONCURRENCY).map((visitor) => visitor.get('/')));
  }
  return visitors.map((visitor) => visitor.headers());
}
