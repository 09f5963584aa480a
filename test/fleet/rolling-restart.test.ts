import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '../support/wait.ts';
import { assertBooks } from './books.ts';
import { startFleet } from './fleet.ts';
import { startShoppers } from './shoppers.ts';

/** In the shipped configurations for Prometheus. */
const SCRAPE_SECONDS = 5;
/** By hand: `ROLLING_RESTARTS=20`. */
const ROUNDS = Number(process.env.ROLLING_RESTARTS ?? 1);

test('a rolling restart behind HAProxy fails no request, and Prometheus knows all that was served', async (t) => {
  const { fleet, addresses } = await startFleet(t, { scrapeSeconds: SCRAPE_SECONDS });
  const products = await fleet.database.knex('products').select('id', 'slug');
  const shoppers = startShoppers(t, fleet.balancer.url, { count: 4, pauseMs: 50, newConnections: true, products });
  const served = () => [...shoppers.tally.answers.values()].reduce((sum, count) => sum + count, 0);

  for (let round = 0; round < ROUNDS; round++) {
    for (const address of addresses) {
      const before = served();
      await until('the shoppers are served', () => served() > before + 50);
      await fleet.stop(address);
      await fleet.start(address);
      await fleet.balancer.serves(addresses.length);
      // What a life has counted before its first scrape is known only by its last one.
      await fleet.prometheus.scraped([fleet.labelOf(address)]);
    }
  }
  const tally = await shoppers.stop();
  await fleet.prometheus.scraped();

  t.diagnostic(`${served()} requests, ${tally.orders.get('paid')} orders`);
  assert.deepEqual(tally.failures, [], fleet.balancer.output());
  await assertBooks(fleet, tally, new Map());
  for (const { shop } of fleet.lives) assert.doesNotMatch(shop.output(), /the last scrape did not come/);
});
