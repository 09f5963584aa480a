import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Knex } from 'knex';
import pino from 'pino';
import type { DatabaseConnection } from '../../src/config.ts';
import { connect, findRunningPostgres } from '../../src/db/index.ts';
import { FAULT_NAMES, type FaultName } from '../../src/faults/names.ts';
import { startShoppers, type Tally } from '../fleet/shoppers.ts';
import { type RunningCluster, startCluster } from '../support/cluster.ts';
import { switchFault } from '../support/faults.ts';
import { allSettled, assertMoneyAddsUp } from '../support/payments.ts';
import { until, whenDone } from '../support/wait.ts';
import { coursesOf, describeCourse, type Look, lookAtResources } from './courses.ts';

/** By hand: `npm run bench:soak-faults`, 90 faults, one a minute. */
const FAULTS = Number(process.env.SOAK_FAULTS ?? 4);
/** From the beginning of a fault to that of the next. Each is on for a third of it. */
const SECONDS = Number(process.env.SOAK_FAULT_SECONDS ?? 6);
const SHOPPERS = 4;
const PAUSE_MS = 100;
const DESCRIPTORS_MAY_DIFFER = 25;
const MEGABYTES_MAY_GROW = 100;
/** Until then the primary's history and the code of all pages fill. */
const WARM_UP_MINUTES = 15;
/** The embedded database starts again after `database_down`, and workers after a hang, on a machine that is busy. */
const WELL_DEADLINE_MS = 180_000;

test('books balance, orders are paid once, and memory is flat after a fault a minute', async (t) => {
  const shop = await startCluster(t, { workers: 2, database: 'embedded', env: { FAULTS: 'true' } });
  const knex = connect((await findRunningPostgres(shop.dataDir)) as DatabaseConnection, {
    poolMax: 1,
    applicationName: 'test',
    log: pino({ level: 'silent' }),
  });
  whenDone(t, () => knex.destroy());
  await knex('products').update({ stock: 1_000_000 });
  const products: { id: number; slug: string }[] = await knex('products').select('id', 'slug');
  const shoppers = startShoppers(t, shop.shopUrl, { count: SHOPPERS, pauseMs: PAUSE_MS, pix: true, products });

  const looks: Look[] = [];
  const startedMs = performance.now();
  for (let i = 0; i < FAULTS; i++) {
    // 5 and the number of faults have no common divisor: all come in turn, neighbours of a kind apart.
    const name = FAULT_NAMES[(i * 5 + 2) % FAULT_NAMES.length] as FaultName;
    await until(`all is well before ${name}`, () => isWell(shop), WELL_DEADLINE_MS);
    looks.push(...(await lookAt(shop, startedMs)));
    await switchFault(shop, name, true, Math.ceil(SECONDS / 3));
    await sleep(Math.max(0, startedMs + (i + 1) * SECONDS * 1000 - performance.now()));
  }
  await until('all is well in the end', () => isWell(shop), WELL_DEADLINE_MS);
  const tally = await shoppers.stop();
  looks.push(...(await lookAt(shop, startedMs)));

  const courses = coursesOf(looks);
  const answers = [...tally.answers.values()].reduce((sum, each) => sum + each, 0);
  t.diagnostic(
    `${FAULTS} faults, ${answers} answers, ${tally.failures.length} requests without one, ${tally.orders.get('paid')} orders`,
  );
  for (const course of courses) t.diagnostic(describeCourse(course));
  for (const course of coursesOf(looks.filter(({ minutes }) => minutes >= WARM_UP_MINUTES)))
    t.diagnostic(`after ${WARM_UP_MINUTES} minutes: ${describeCourse(course)}`);

  await assertBooks(shop, knex, tally);
  for (const { process, what, first, last, least, most } of courses) {
    if (what === 'descriptors')
      assert.ok(most - least <= DESCRIPTORS_MAY_DIFFER, `descriptors of ${process}: ${least} to ${most}`);
    if (what === 'memory')
      assert.ok(last - first <= MEGABYTES_MAY_GROW, `memory of ${process}: ${first} to ${last} MB`);
  }
});

/** Again, while the machine is too busy for an answer in time. */
function lookAt(shop: RunningCluster, startedMs: number): Promise<Look[]> {
  const minutes = (performance.now() - startedMs) / 60_000;
  return until('the processes are looked at', () => lookAtResources(shop, minutes), WELL_DEADLINE_MS);
}

/** All workers serve, the database answers, and so does a page that reads a cart and that the shoppers never ask for. */
async function isWell(shop: RunningCluster): Promise<boolean> {
  const { workers, database } = await shop.status();
  if (!database.up || !workers.every(({ state }) => state === 'serving')) return false;
  return (await shop.visitor().get('/checkout')).location === '/cart';
}

/** A worker that dies between a commit and its answer has not counted the order. */
function lostAtMost({ of }: { of(name: string): number }): number {
  return SHOPPERS * of('shop_worker_restarts_total');
}

/**
 * What a shopper was answered is counted. What was cut off, or answered with an error after it was late, may be counted or
 * not; no other request is.
 */
async function assertBooks(shop: RunningCluster, knex: Knex, tally: Tally): Promise<void> {
  await allSettled(knex);
  const states = await assertMoneyAddsUp(knex);
  const stored = Number((await knex('orders').count('* as orders').first())?.orders);
  const { of } = await until('the orders are counted', async () => {
    const page = await shop.metrics();
    return page.of('shop_orders_total', { outcome: 'paid' }) >= stored - lostAtMost(page) && page;
  });
  const orders = of('shop_orders_total', { outcome: 'paid' });
  assert.ok(orders <= stored, `each stored order is counted once: ${orders} of ${stored}`);
  assert.equal(states.ordered, stored, 'each order is paid once');
  const paid = tally.orders.get('paid') ?? 0;
  assert.ok(paid > 0 && paid <= stored, `${paid} orders were confirmed, ${stored} are stored`);

  const cutOff = (route: string) => tally.failures.filter((failure) => failure.startsWith(`${route}: `)).length;
  for (const [answer, acknowledged] of tally.answers) {
    const [method = '', route = '', status_code = ''] = answer.split(' ');
    const counted = of('http_request_duration_seconds_count', { method, route, status_code });
    const most = acknowledged + cutOff(`${method} ${route}`);
    assert.ok(counted >= acknowledged && counted <= most, `${answer}: ${counted} counted, ${acknowledged} answered`);
  }

  const add = 'POST /add_to_cart/:id';
  const refused = [...tally.answers].filter(([answer]) => answer.startsWith(`${add} 5`));
  const uncertain = cutOff(add) + refused.reduce((sum, [, count]) => sum + count, 0);
  const added = [...tally.additions.values()].reduce((sum, each) => sum + each, 0);
  const counted = of('shop_cart_additions_total');
  assert.ok(counted >= added && counted <= added + uncertain, `${counted} additions counted, ${added} acknowledged`);
  for (const [product, acknowledged] of tally.additions) {
    assert.ok(of('shop_cart_additions_total', { product }) >= acknowledged, product);
  }
}
