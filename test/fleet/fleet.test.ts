import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseExposition } from '@techcommerce/cluster-metrics/testing';
import { BACKPACK } from '../support/visitor.ts';
import { until } from '../support/wait.ts';
import { assertBooks } from './books.ts';
import { type Fleet, type Life, startFleet } from './fleet.ts';
import { count, startShoppers, type Tally } from './shoppers.ts';

const CARTS = 5;
/** Between two events. By hand: `FLEET_REQUESTS=2000`. */
const REQUESTS = Number(process.env.FLEET_REQUESTS ?? 50);
const SERVE_DEADLINE_MS = 10 * 60_000;

/** Of requests, of the shop, of the primary, of the database: counters, and the counts of a histogram and of a summary. */
const COUNTERS = [
  'http_request_duration_seconds_count',
  'http_request_duration_seconds_bucket',
  'shop_request_time_seconds_total',
  'shop_cart_additions_total',
  'shop_orders_total',
  'shop_worker_restarts_total',
  'shop_db_operation_duration_seconds_count',
];

test('Prometheus knows what the clients of a fleet did, through death, reload, restart, outage and removal', async (t) => {
  const { fleet, addresses } = await startFleet(t);
  const [restarted, removed] = addresses;
  // In the order of the addresses: either may have been the first to serve.
  const [first, second] = addresses.map((address) => fleet.lives.find((life) => life.address === address)) as [
    Life,
    Life,
  ];
  const products = await fleet.database.knex('products').select('id', 'slug');
  const shoppers = startShoppers(t, fleet.balancer.url, { count: 4, pauseMs: 50, products });
  const { tally } = shoppers;
  await shoppers.pause();
  await assertSharedGauges(fleet, first, tally);

  const answers = () => [...tally.answers.values()].reduce((sum, each) => sum + each, 0);
  async function serveMore(): Promise<void> {
    shoppers.resume();
    const before = answers();
    await until('the shoppers are served', () => answers() >= before + REQUESTS, SERVE_DEADLINE_MS);
  }
  await serveMore();

  // Between two requests, right after answers: what those asked for must be counted.
  await shoppers.pause();
  process.kill((await first.shop.status()).workers[0]?.pid as number, 'SIGKILL');
  await until('the death is seen', async () => (await first.shop.status()).workers[0]?.restarts === 1);
  await serveMore();

  process.kill(second.shop.pid, 'SIGHUP');
  await until('the reload is done', () => second.shop.output().includes('"msg":"reloaded"'), 180_000);
  await serveMore();

  await fleet.stop(restarted);
  await fleet.start(restarted);
  await fleet.balancer.serves(2);
  await serveMore();

  await shoppers.pause();
  fleet.network.refuse();
  await fleet.balancer.serves(0);
  const before = refusals(tally);
  await serveMore();
  await shoppers.pause();
  const refused = new Map([...refusals(tally)].map(([route, all]) => [route, all - (before.get(route) ?? 0)]));
  assert.ok((refused.get('POST /add_to_cart/:id') ?? 0) > 0, 'the outage is seen');
  fleet.network.accept();
  await fleet.balancer.serves(2);
  await serveMore();

  await fleet.stop(removed);
  await fleet.publish([restarted]);
  await fleet.balancer.serves(1);
  await serveMore();
  await shoppers.stop();
  await fleet.prometheus.scraped([first.label]);

  t.diagnostic(`${answers()} requests, ${tally.orders.get('paid')} orders`);
  assert.deepEqual(tally.failures, [], fleet.balancer.output());
  await assertBooks(fleet, tally, refused);
  await assertResets(
    fleet,
    new Map([
      [first.label, 1],
      [second.label, 0],
    ]),
  );
  await assertNoDuplicates(fleet);
});

/** Gauges that are read from the database are the same on each instance, and true. */
async function assertSharedGauges({ prometheus }: Fleet, { shop }: Life, tally: Tally): Promise<void> {
  for (let cart = 0; cart < CARTS; cart++) {
    const added = await shop.visitor().post(`/add_to_cart/${BACKPACK.id}`, { quantity: 1 });
    assert.equal(added.status, 302);
    count(tally.answers, 'POST /add_to_cart/:id 302');
    count(tally.additions, BACKPACK.slug);
    count(tally.units, BACKPACK.slug);
  }
  for (const aggregate of ['min', 'max']) {
    await until(
      `${aggregate} is true`,
      async () => (await prometheus.value(`${aggregate}(shop_active_cart_sessions)`)) === CARTS,
    );
  }
  assert.equal(await prometheus.value('count(shop_active_cart_sessions)'), 2);
}

/** Forms that were answered with 503, by method and route. */
function refusals({ answers }: Tally): Map<string, number> {
  return new Map(
    [...answers].filter(([key]) => /^POST .* 503$/.test(key)).map(([key, value]) => [key.replace(/ 503$/, ''), value]),
  );
}

/** `resets()` sees each start of a primary, and no death, reload or outage. */
async function assertResets(fleet: Fleet, expected: ReadonlyMap<string, number>): Promise<void> {
  const since = Math.min(...fleet.lives.map(({ from }) => from));
  const range = `${Math.ceil(Date.now() / 1000 - since)}s`;
  const most = new Map([...expected.keys()].map((label) => [label, 0]));
  for (const name of COUNTERS) {
    for (const { labels, value } of await fleet.prometheus.query(`max by (instance) (resets(${name}[${range}]))`)) {
      const { instance = '' } = labels;
      most.set(instance, Math.max(most.get(instance) ?? 0, value));
    }
  }
  assert.deepEqual(most, expected);
}

/** Each instance is one target, and Prometheus has refused no sample. */
async function assertNoDuplicates({ prometheus, lives }: Fleet): Promise<void> {
  const instances = (await prometheus.series('up')).map(({ instance }) => instance);
  assert.deepEqual(instances.sort(), [...new Set(lives.map(({ label }) => label))].sort());
  const own = parseExposition(await (await fetch(`${prometheus.url}/metrics`)).text());
  for (const reason of ['sample_duplicate_timestamp', 'sample_out_of_order', 'sample_out_of_bounds']) {
    assert.equal(own.of(`prometheus_target_scrapes_${reason}_total`), 0, reason);
  }
}
