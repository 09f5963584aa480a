import assert from 'node:assert/strict';
import type { Fleet } from './fleet.ts';
import type { Tally } from './shoppers.ts';

/** Routes that HAProxy asks for its checks, or that the books do not count. */
const NOT_SHOPPERS = '/readyz|/livez|/metrics';

/**
 * How much a counter has grown in the whole fleet, from the first scrapes to the last ones, by Prometheus alone: in each
 * life of an instance from 0 to its last value.
 *
 * @param selector a counter with its matchers, such as `shop_orders_total{outcome="paid"}`
 * @param by labels to tell apart; the keys of the result are their values with a space between
 */
export async function growth(fleet: Fleet, selector: string, by: readonly string[]): Promise<Map<string, number>> {
  const grown = new Map<string, number>();
  for (const { label, from, to = Date.now() / 1000 } of fleet.lives) {
    const within = selector.includes('{')
      ? selector.replace('{', `{instance="${label}",`)
      : `${selector}{instance="${label}"}`;
    const range = `${Math.ceil((to - from) * 1000)}ms`;
    for (const { labels, value } of await fleet.prometheus.query(
      `sum by (${by.join()}) (last_over_time(${within}[${range}]))`,
      to,
    )) {
      const key = by.map((name) => labels[name]).join(' ');
      if (value !== 0) grown.set(key, (grown.get(key) ?? 0) + value);
    }
  }
  return grown;
}

/**
 * Asserts that Prometheus knows exactly what the shoppers did: each answer by method, route and status, each addition by
 * product, each order.
 *
 * @param refused how many forms by route were answered with 503 before they had changed anything. Others that were
 *   answered with 503 were late: what they asked for may have been done.
 */
export async function assertBooks(fleet: Fleet, tally: Tally, refused: ReadonlyMap<string, number>): Promise<void> {
  const labels = ['method', 'route', 'status_code'];
  const counted = await growth(fleet, `http_request_duration_seconds_count{route!~"${NOT_SHOPPERS}"}`, labels);
  assert.deepEqual(sorted(counted), sorted(tally.answers), 'answers by method, route and status');

  const late = (route: string) => (tally.answers.get(`${route} 503`) ?? 0) - (refused.get(route) ?? 0);
  const adds = late('POST /add_to_cart/:id');
  assertGrown(await growth(fleet, 'shop_cart_additions_total', ['product']), tally.additions, adds);
  assertGrown(await growth(fleet, 'shop_cart_units_added_total', ['product']), tally.units, 3 * adds);
  const orders = await growth(fleet, 'shop_orders_total', ['outcome']);
  assertGrown(orders, tally.orders, late('POST /checkout'), ['failed']);
  const stored = await fleet.database.knex('orders').count('* as orders').first();
  assert.equal(orders.get('paid'), Number(stored?.orders), 'orders in the database');
}

/** @param late how much more there may be in all @param apart keys of which the shoppers know nothing */
function assertGrown(
  counted: Map<string, number>,
  done: Map<string, number>,
  late: number,
  apart: string[] = [],
): void {
  const known = new Map([...counted].filter(([key]) => !apart.includes(key)));
  if (late === 0) {
    assert.deepEqual(sorted(known), sorted(done));
    return;
  }
  for (const [key, value] of done) assert.ok((known.get(key) ?? 0) >= value, `${key}: ${known.get(key)} of ${value}`);
  assert.ok(total(known) <= total(done) + late, `${total(known)} of ${total(done)} and ${late}`);
}

const sorted = (counts: ReadonlyMap<string, number>) =>
  Object.fromEntries([...counts].sort(([a], [b]) => (a < b ? -1 : 1)));

const total = (counts: ReadonlyMap<string, number>) => [...counts.values()].reduce((sum, value) => sum + value, 0);
