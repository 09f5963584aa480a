import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import { type TestContext, test } from 'node:test';
import type { Exposition } from '@techcommerce/cluster-metrics/testing';
import { FAULT_NAMES, type FaultName } from '../../src/faults/names.ts';
import { type RunningCluster, startCluster } from '../support/cluster.ts';
import { openPool, testDatabase } from '../support/database.ts';
import { listFaults, postFault, switchFault } from '../support/faults.ts';
import { type LiveViewer, watchLive } from '../support/live.ts';
import { isAlive } from '../support/system.ts';
import { PATIENT } from '../support/test-server.ts';
import { atCheckout, CUSTOMER } from '../support/visitor.ts';
import { until, whenDone } from '../support/wait.ts';

/** Less than the default, so that the test is short; more than a block of `blocked_loop`, also on a busy machine. */
const HANG_SECONDS = 5;

/** How a fault shows. Both are asked again and again, and send the requests that they need. */
interface Case {
  readonly name: FaultName;
  /**
   * Whether its effect is there.
   *
   * @param before the metrics before it began
   */
  harms(shop: RunningCluster, before: Exposition, viewer: LiveViewer): Promise<unknown>;
  /** Whether its effect is gone. */
  isWell(shop: RunningCluster): Promise<unknown>;
}

async function order(shop: RunningCluster): Promise<number> {
  const { shopper, hidden } = await atCheckout(shop);
  return (await shopper.post('/checkout', { ...CUSTOMER, ...hidden })).status;
}

/** Acts, and tells by how much a number has grown. */
async function growthOf(
  shop: RunningCluster,
  act: () => Promise<unknown>,
): Promise<ReturnType<Exposition['since']>['of']> {
  const before = await shop.metrics();
  await act();
  return (await shop.metrics()).since(before).of;
}

const CARD = { method: 'card' };
const CHECKOUT_CODE = { route: '/checkout', spent: 'app' };

/** Seconds of processor time that a checkout spends in the shop's own code. */
async function codeSeconds(shop: RunningCluster): Promise<number> {
  const grown = await growthOf(shop, async () => assert.equal(await order(shop), 302));
  return grown('shop_request_time_seconds_total', CHECKOUT_CODE);
}

async function paymentSeconds(shop: RunningCluster): Promise<number> {
  const grown = await growthOf(shop, async () => assert.equal(await order(shop), 302));
  return grown('shop_payment_duration_seconds_sum', CARD);
}

async function statusOf(shop: RunningCluster, path: string, quantity?: number): Promise<number> {
  const visitor = shop.visitor();
  return (await (quantity === undefined ? visitor.get(path) : visitor.post(path, { quantity }))).status;
}

async function stackOf(shop: RunningCluster, place: number): Promise<string> {
  const response = await fetch(`${shop.opsUrl}/debug/stack?worker=${place}`, { signal: AbortSignal.timeout(30_000) });
  assert.equal(response.status, 200);
  return response.text();
}

const HEAP = 'nodejs_heap_size_used_bytes';
/** Connections of each worker: few, so that they are soon leaked. */
const POOL = 4;
/** The primary and two workers. */
const OWN_PROCESSES = 3;

async function cartQuerySeconds(shop: RunningCluster): Promise<number> {
  const grown = await growthOf(shop, () => statusOf(shop, '/cart'));
  return grown('shop_db_operation_duration_seconds_sum', { operation: 'select', table: 'carts' });
}

async function activeConnections(shop: RunningCluster): Promise<number> {
  return (await shop.metrics()).of('shop_db_connections', { state: 'active' });
}

async function isServing(shop: RunningCluster): Promise<boolean> {
  return (await shop.status()).workers.every(({ state }) => state === 'serving');
}

function replacedFor(reason: string): Case['harms'] {
  return async (shop, before) => (await shop.metrics()).since(before).of('shop_worker_restarts_total', { reason }) > 0;
}

const CASES: readonly Case[] = [
  {
    name: 'slow_payment',
    harms: async (shop) => (await paymentSeconds(shop)) >= 0.7,
    isWell: async (shop) => (await paymentSeconds(shop)) < 0.7,
  },
  {
    name: 'payment_errors',
    async harms(shop) {
      const grown = await growthOf(shop, async () => assert.equal(await order(shop), 503));
      return grown('shop_payments_total', { ...CARD, outcome: 'failed' }) === 1;
    },
    isWell: async (shop) => (await order(shop)) === 302,
  },
  {
    name: 'slow_code',
    harms: async (shop) => (await codeSeconds(shop)) >= 0.2,
    isWell: async (shop) => (await codeSeconds(shop)) < 0.2,
  },
  {
    name: 'bad_release',
    async harms(shop) {
      const statuses: number[] = [];
      const grown = await growthOf(shop, async () => {
        for (let page = 0; page < 200; page++) statuses.push(await statusOf(shop, '/shop'));
      });
      const failed = statuses.filter((status) => status === 500).length;
      assert.equal(grown('shop_errors_total', { route: '/shop', type: 'internal' }), failed);
      // Each worker counts by itself, from where it was.
      return failed >= 8 && failed <= 11;
    },
    async isWell(shop) {
      for (let page = 0; page < 50; page++) assert.equal(await statusOf(shop, '/shop'), 200);
      return true;
    },
  },
  {
    name: 'cart_bug',
    async harms(shop) {
      const ids = [1, 2, 3, 4, 5, 6, 10];
      const statuses = await Promise.all(ids.map((id) => statusOf(shop, `/add_to_cart/${id}`, 1)));
      return ids.every((id, i) => (statuses[i] === 500) === (id % 5 === 0));
    },
    isWell: async (shop) => (await statusOf(shop, '/add_to_cart/5', 1)) === 302,
  },
  {
    name: 'blocked_loop',
    async harms(shop) {
      const age = (await shop.metrics()).of('shop_metrics_worker_age_seconds', { worker: '1' });
      if (age < 1 || !(await stackOf(shop, 1)).includes('src/faults/threads.ts')) return false;
      assert.doesNotMatch(await stackOf(shop, 2), /src\/faults/);
      return true;
    },
    async isWell(shop) {
      const { of } = await shop.metrics();
      return of('shop_metrics_worker_age_seconds', { worker: '1' }) < 1 && isServing(shop);
    },
  },
  { name: 'worker_hang', harms: replacedFor('hang'), isWell: isServing },
  { name: 'worker_crash', harms: replacedFor('exception'), isWell: isServing },
  {
    name: 'memory_leak',
    async harms(shop, before) {
      for (let page = 0; page < 300; page++) await statusOf(shop, '/detail/1');
      return (await shop.metrics()).since(before).of(HEAP) > 60e6;
    },
    async isWell(shop) {
      // It ends with a garbage collection.
      for (const place of [1, 2]) {
        const response = await fetch(`${shop.opsUrl}/debug/heap?worker=${place}&seconds=1`, {
          signal: AbortSignal.timeout(30_000),
        });
        const [, megabytes] = /^heap +([\d.]+) MB/m.exec(await response.text()) ?? [];
        if (!(Number(megabytes) < 50)) return false;
      }
      return true;
    },
  },
  {
    name: 'slow_query',
    harms: async (shop) => (await cartQuerySeconds(shop)) >= 0.1,
    isWell: async (shop) => (await cartQuerySeconds(shop)) < 0.1,
  },
  {
    name: 'row_lock',
    async harms(shop) {
      let waiting = 0;
      let isUnderWay = true;
      const orders = Promise.all([1, 2, 3].map(() => order(shop))).finally(() => {
        isUnderWay = false;
      });
      while (isUnderWay) waiting = Math.max(waiting, (await shop.metrics()).of('shop_db_server_waiting_locks'));
      return (await orders).every((status) => status === 503) && waiting > 0;
    },
    isWell: async (shop) => (await order(shop)) === 302,
  },
  {
    name: 'pool_leak',
    async harms(shop) {
      const statuses = await Promise.all(Array.from({ length: 12 }, () => statusOf(shop, '/cart')));
      return statuses.includes(503) && (await activeConnections(shop)) >= POOL;
    },
    async isWell(shop) {
      const statuses = await Promise.all(Array.from({ length: 12 }, () => statusOf(shop, '/cart')));
      return statuses.every((status) => status === 200) && (await activeConnections(shop)) < POOL;
    },
  },
  {
    name: 'busy_machine',
    async harms(shop, _, viewer) {
      const programs = (await shop.processes()).length - OWN_PROCESSES;
      const isShown = viewer.frame().lamps.some(({ rule }) => rule === 'machine_cpu');
      return (
        programs >= availableParallelism() && (await shop.metrics()).of('shop_host_cpu_usage_ratio') > 0.9 && isShown
      );
    },
    isWell: async (shop) => (await shop.processes()).length === OWN_PROCESSES,
  },
];

const DATABASE_DOWN: Case = {
  name: 'database_down',
  async harms(shop) {
    return (await statusOf(shop, '/cart')) === 503 && (await shop.metrics()).of('shop_db_up') === 0;
  },
  async isWell(shop) {
    return (await statusOf(shop, '/cart')) === 200 && (await shop.metrics()).of('shop_db_up') === 1;
  },
};

async function isOff(shop: RunningCluster, name: FaultName): Promise<boolean> {
  const fault = (await listFaults(shop)).find((each) => each.name === name);
  return fault?.on === false && fault.endsAt === null && fault.secondsLeft === null;
}

async function rehearse(t: TestContext, shop: RunningCluster, viewer: LiveViewer, cases: readonly Case[]) {
  for (const { name, harms, isWell } of cases) {
    await t.test(name, async () => {
      const marks = () =>
        viewer
          .marks()
          .filter(({ what }) => what === name)
          .map(({ kind }) => kind);
      const isShown = () => viewer.frame().faults.some((fault) => fault.name === name);

      await until('all is well', () => isWell(shop));
      const before = await shop.metrics();
      await switchFault(shop, name, true);
      const fault = (await listFaults(shop)).find((each) => each.name === name);
      assert.ok(fault?.on && fault.endsAt !== null, 'it is on');
      assert.ok(fault.secondsLeft !== null && fault.secondsLeft > 500 && fault.secondsLeft <= 600);
      await until('its effect is there', () => harms(shop, before, viewer));
      await until('the live page has it', isShown);
      await switchFault(shop, name, false);
      assert.ok(await isOff(shop, name));
      await until('all is well again', () => isWell(shop));

      await switchFault(shop, name, true, 1);
      await until('it has ended by itself', () => isOff(shop, name));
      await until('all is well again', () => isWell(shop));
      await until('the live page has four marks', () => marks().length === 4);
      assert.deepEqual(marks(), ['fault_begin', 'fault_end', 'fault_begin', 'fault_end']);
      await until('the live page has it no more', () => !isShown());
    });
  }
}

test('each rehearsed fault begins, does its harm and ends', async (t) => {
  const { url, knex } = await testDatabase(t);
  await knex('products').update({ stock: 100_000 });
  const shop = await startCluster(t, {
    workers: 2,
    database: { url },
    env: { FAULTS: 'true', WORKER_HANG_SECONDS: String(HANG_SECONDS), DB_POOL_MAX: String(POOL) },
  });
  const viewer = await watchLive(t, shop);
  assert.deepEqual(viewer.structure().faults, FAULT_NAMES);
  assert.deepEqual(
    (await listFaults(shop)).map(({ name, on }) => ({ name, on })),
    FAULT_NAMES.map((name) => ({ name, on: false })),
  );
  await rehearse(t, shop, viewer, CASES);

  await t.test('a wrong form gets an answer that says what to do', async () => {
    for (const [fields, sentence] of [
      [{ on: 'true' }, /^name must be one of slow_code, /],
      [{ name: 'earthquake', on: 'true' }, /^name must be one of/],
      [{ name: 'slow_code' }, /^on must be true or false/],
      [{ name: 'slow_code', on: 'yes' }, /^on must be true or false/],
      [{ name: 'slow_code', on: 'true', seconds: '601' }, /^seconds must be a whole number from 1 to 600/],
      [{ name: 'slow_code', on: 'true', seconds: '0' }, /^seconds must be/],
      [{ name: 'slow_code', on: 'true', second: '5' }, /^The form may have the fields name, on, seconds, each once/],
      ['name=slow_code&on=false&on=true', /^The form may have the fields/],
    ] as const) {
      const { status, text } = await postFault(shop, fields);
      assert.equal(status, 400, text);
      assert.match(text, sentence);
    }
    const large = await postFault(shop, { name: 'slow_code', on: 'true', more: 'x'.repeat(2_000) });
    assert.equal(large.status, 413, large.text);
    const json = await fetch(`${shop.opsUrl}/faults`, {
      method: 'POST',
      body: '{}',
      signal: AbortSignal.timeout(10_000),
    });
    assert.equal(json.status, 415);
  });

  await t.test('rows that another session holds refuse row_lock alone', { timeout: 60_000 }, async () => {
    const holder = await openPool(t, { url }, { deadlines: PATIENT }).transaction();
    whenDone(t, () => holder.rollback());
    await holder('products').select('id').forUpdate();
    const { status, text } = await postFault(shop, { name: 'row_lock', on: 'true' });
    assert.equal(status, 409, text);
    assert.match(text, /^The rows of the products could not be locked: .*Try again when/);
    assert.ok(await isOff(shop, 'row_lock'));
    await switchFault(shop, 'slow_code', true);
    await switchFault(shop, 'slow_code', false);
    await holder.rollback();
    await switchFault(shop, 'row_lock', true);
    await switchFault(shop, 'row_lock', false);
  });

  await t.test('the database of another owner stays up', async () => {
    const { status, text } = await postFault(shop, { name: 'database_down', on: 'true' });
    assert.equal(status, 409, text);
    assert.match(text, /^database_down is for the embedded database alone/);
    assert.ok(await isOff(shop, 'database_down'));
  });

  await t.test('pages of other sites and visitors behind a proxy are refused', async () => {
    for (const headers of [
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { 'x-forwarded-for': '203.0.113.9' },
      { 'x-forwarded-proto': 'https' },
    ]) {
      const { status } = await postFault(shop, { name: 'slow_code', on: 'true' }, headers);
      assert.equal(status, 403, JSON.stringify(headers));
    }
    assert.ok(await isOff(shop, 'slow_code'));
    const own = { origin: new URL(shop.opsUrl).origin };
    assert.equal((await postFault(shop, { name: 'slow_code', on: 'false' }, own)).status, 200);
  });

  await t.test('a fault that is on does not hold up the end of the shop', async () => {
    for (const { name } of CASES) await switchFault(shop, name, true);
    assert.deepEqual(await shop.stop(), { code: 0, signal: null });
  });
});

test('the embedded database goes away and comes back', async (t) => {
  const shop = await startCluster(t, { workers: 1, database: 'embedded', env: { FAULTS: 'true' } });
  const viewer = await watchLive(t, shop);
  await rehearse(t, shop, viewer, [DATABASE_DOWN]);
  await t.test('a shop whose database is down stops all the same', async () => {
    await switchFault(shop, 'database_down', true);
    assert.deepEqual(await shop.stop(), { code: 0, signal: null });
  });
});

test('faults end with the primary, also when it is killed', async (t) => {
  const shop = await startCluster(t, { workers: 1, env: { FAULTS: 'true' } });
  for (const name of ['row_lock', 'worker_hang', 'busy_machine'] as const) await switchFault(shop, name, true);
  const family = await shop.processes();
  assert.ok(family.length >= 2 + availableParallelism());
  process.kill(shop.pid, 'SIGKILL');
  await until('all its processes end', async () => {
    for (const pid of family) if (await isAlive(pid)) return false;
    return true;
  });
});
