import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { Gauge, WorkerRegistry } from '@techcommerce/cluster-metrics';
import { parseExposition } from '@techcommerce/cluster-metrics/testing';
import type { Knex } from 'knex';
import { RESTART_REASONS } from '../../../src/instrument/label-values.ts';
import { parseProcStat, sampleHostCpu } from '../../../src/instrument/process.ts';
import { fillDisk, openPool, testDatabase } from '../../support/database.ts';
import { recordLog } from '../../support/log.ts';
import { startProxy } from '../../support/proxy.ts';
import { queuedMs } from '../../support/system.ts';
import { PATIENT } from '../../support/test-server.ts';
import { until, whenDone } from '../../support/wait.ts';
import { measuredPrimary } from './measured-primary.ts';

const MINUTE_MS = 60_000;
/** Far less than the timeout of a query. */
const SCRAPE_MS = 100;

/** Inserts a session, with a cart if asked. */
async function addSession(
  database: Knex,
  { seenMinutesAgo = 0, cart }: { seenMinutesAgo?: number; cart?: 'empty' | 'filled' | 'ordered' },
): Promise<void> {
  const id = randomUUID();
  await database('sessions').insert({ id, last_seen_at: new Date(Date.now() - seenMinutesAgo * MINUTE_MS) });
  if (!cart) return;
  const status = cart === 'ordered' ? 'ordered' : 'open';
  const [row] = await database('carts').insert({ session_id: id, status }).returning('id');
  if (cart !== 'empty') await database('cart_items').insert({ cart_id: row.id, product_id: 1, quantity: 2 });
}

test('the first scrape has the right values', async (t) => {
  const { url, knex } = await testDatabase(t);
  await addSession(knex, { cart: 'filled' });

  const { scrape, primary } = await measuredPrimary(t, url);
  const first = await scrape();
  assert.equal(first.of('shop_db_up'), 1);
  assert.equal(first.of('shop_active_sessions'), 1);
  assert.equal(first.of('shop_active_cart_sessions'), 1);
  // A connection may be starting just now.
  assert.ok(first.has('shop_db_server_connections', { state: 'other' }));
  assert.ok(first.of('shop_db_server_connections') >= 2);
  const { rows } = await knex.raw('show max_connections');
  assert.equal(first.of('shop_db_server_connections_max'), Number(rows[0].max_connections));
  assert.equal(first.of('shop_build_info', { version: '1.2.3', revision: 'c0ffee', node: process.versions.node }), 1);
  for (const reason of RESTART_REASONS) assert.equal(first.of('shop_worker_restarts_total', { reason }), 0);
  assert.equal(first.of('shop_errors_total', { type: 'worker_crash', route: 'none' }), 0);
  assert.ok(first.has('shop_cpu_usage_ratio', { worker: 'primary' }));
  assert.equal(primary.databaseUp(), true);
});

test('sessions count when they were seen recently, and cart sessions when their cart is open and not empty', async (t) => {
  const { url } = await testDatabase(t);
  const { database, scrape } = await measuredPrimary(t, url);
  await addSession(database, {});
  await addSession(database, { cart: 'empty' });
  await addSession(database, { cart: 'ordered' });
  await addSession(database, { cart: 'filled', seenMinutesAgo: 4 });
  await addSession(database, { cart: 'filled', seenMinutesAgo: 6 });
  await addSession(database, { cart: 'filled', seenMinutesAgo: 29 });
  await addSession(database, { cart: 'filled', seenMinutesAgo: 31 });
  await until('both gauges', async () => {
    const now = await scrape();
    return now.of('shop_active_sessions') === 4 && now.of('shop_active_cart_sessions') === 3;
  });
});

test("PostgreSQL's own view shows each connection in its state", async (t) => {
  const { url } = await testDatabase(t);
  const { scrape } = await measuredPrimary(t, url);
  const clients = openPool(t, { url }, { poolMax: 4, deadlines: PATIENT });
  const transaction = await clients.transaction();
  await transaction.raw('select pg_advisory_xact_lock(1)');
  const failed = await clients.transaction();
  await assert.rejects(failed.raw('select no_such_column'));
  const waiting = clients.raw('select pg_advisory_xact_lock(1)').then(() => {});
  await until('one of each', async () => {
    const now = await scrape();
    const state = (name: string) => now.of('shop_db_server_connections', { state: name });
    return state('idle_in_transaction') === 1 && state('idle_in_transaction_aborted') === 1 && state('active') >= 2;
  });
  await Promise.all([transaction.rollback(), failed.rollback(), waiting]);
});

const READ_GAUGES = [
  'shop_active_sessions',
  'shop_active_cart_sessions',
  'shop_db_server_connections',
  'shop_db_server_waiting_locks',
  'shop_db_server_longest_transaction_seconds',
  'shop_db_server_size_bytes',
];

for (const [trouble, strike, heal] of [
  ['gone', 'refuse', 'accept'],
  ['silent', 'block', 'unblock'],
] as const) {
  test(`a database that is ${trouble} makes its gauges NaN and slows no scrape`, async (t) => {
    const { url } = await testDatabase(t);
    const proxy = await startProxy(t, url);
    const { primary, scrape } = await measuredPrimary(t, proxy.url);
    const before = await until('everything is read', async () => {
      const first = await scrape();
      return first.of('shop_db_up') === 1 && READ_GAUGES.every((name) => first.of(name) >= 0) && first;
    });

    proxy[strike]();
    const known = async () => (await scrape()).of('shop_db_up') === 1;
    const durations: number[] = [];
    // Each gauge is sampled separately.
    const down = await until('shop_db_up is 0 and the gauges are NaN', async () => {
      const [startedMs, queuedBefore] = [performance.now(), queuedMs([process.pid])];
      const down = await scrape();
      durations.push(performance.now() - startedMs - (queuedMs([process.pid]) - queuedBefore));
      const unknown = READ_GAUGES.every((name) => Number.isNaN(down.of(name)));
      return down.of('shop_db_up') === 0 && unknown && down;
    });
    for (const counter of ['transactions', 'rows', 'blocks', 'deadlocks'].map((of) => `shop_db_server_${of}_total`)) {
      assert.ok(down.of(counter) >= before.of(counter), `${counter} keeps its value`);
    }
    assert.ok(Math.max(...durations) < SCRAPE_MS, `a scrape took ${Math.max(...durations)} ms`);
    assert.equal(primary.databaseUp(), false);

    proxy[heal]();
    await until('shop_db_up is 1 again', known);
    assert.equal(primary.databaseUp(), true);
    await until('the gauges are known again', async () => (await scrape()).of('shop_active_sessions') === 0);
  });
}

test('the gauges are NaN while the counts cannot be read, and shop_db_up stays 1', async (t) => {
  const { url, knex } = await testDatabase(t);
  const { log, lines } = recordLog();
  const { primary, scrape } = await measuredPrimary(t, url, log);
  await addSession(knex, {});
  await until('one session', async () => (await scrape()).of('shop_active_sessions') === 1);

  const hold = await knex.transaction();
  await hold.raw('lock table session_counts in access exclusive mode');
  await until('a reading that failed', () => lines.some((line) => line.includes('the gauges could not be read')));
  const meanwhile = await until('the gauges are NaN', async () => {
    const now = await scrape();
    return Number.isNaN(now.of('shop_active_sessions')) && now;
  });
  assert.equal(meanwhile.of('shop_db_up'), 1);
  assert.equal(primary.databaseUp(), true);
  await hold.commit();
  await addSession(knex, {});
  await until('two sessions', async () => (await scrape()).of('shop_active_sessions') === 2);
});

test('the gauges are read from a database that has no room to store the reading', async (t) => {
  const { url, knex } = await testDatabase(t);
  const { scrape } = await measuredPrimary(t, url);
  await addSession(knex, {});
  await until('one session', async () => (await scrape()).of('shop_active_sessions') === 1);
  for (const table of ['gauge_readings', 'session_counts']) await fillDisk(knex, table, 'insert or update');
  await addSession(knex, {});
  const full = await until('two sessions', async () => {
    const now = await scrape();
    return now.of('shop_active_sessions') === 2 && now;
  });
  assert.equal(full.of('shop_payments_unsettled'), 0);
});

test('workers are shown by state, and their restarts and crashes are counted', async (t) => {
  const { url } = await testDatabase(t);
  const { primary, places, scrape } = await measuredPrimary(t, url);
  const workers = async () => {
    const now = await scrape();
    return ['starting', 'serving', 'draining', 'down'].map((state) => now.of('shop_workers', { state }));
  };
  assert.deepEqual(await workers(), [0, 0, 0, 0]);
  places.push({ state: 'serving' }, { state: 'serving' }, { state: 'starting' });
  assert.deepEqual(await workers(), [1, 2, 0, 0]);
  places[0] = { state: 'down' };
  assert.deepEqual(await workers(), [1, 1, 0, 1]);

  primary.workerRestarted('signal');
  primary.workerCrashed();
  const scraped = await scrape();
  assert.equal(scraped.of('shop_worker_restarts_total', { reason: 'signal' }), 1);
  assert.equal(scraped.of('shop_worker_restarts_total', { reason: 'exit' }), 0);
  assert.equal(scraped.of('shop_errors_total', { type: 'worker_crash', route: 'none' }), 1);
});

test('the host CPU gauge is a share of the whole machine', async (t) => {
  const { url } = await testDatabase(t);
  const { scrape } = await measuredPrimary(t, url);
  const spinning = setInterval(() => {
    const end = performance.now() + 50;
    while (performance.now() < end);
  }, 1);
  whenDone(t, () => clearInterval(spinning));
  const usage = await until('the gauge has a value', async () => (await scrape()).of('shop_host_cpu_usage_ratio'));
  assert.ok(usage > 0 && usage <= 1, String(usage));
});

test('the host CPU gauge is NaN before the second sample and where the system counts nothing', async (t) => {
  const registry = new WorkerRegistry();
  const usage = new Gauge({ name: 'usage', help: 'help', registers: [registry] });
  const shown = async () => parseExposition(await registry.metrics()).of('usage');
  let counted = { busy: 0, total: 0 };
  let samples = 0;
  const sampler = sampleHostCpu(usage, async () => {
    samples++;
    return counted;
  });
  whenDone(t, () => sampler.stop());
  await sampler.first;
  assert.ok(Number.isNaN(await shown()));
  await until('more samples', () => samples > 3);
  assert.ok(Number.isNaN(await shown()), 'the system counts nothing');
  counted = { busy: 30, total: 120 };
  await until('a share', async () => (await shown()) === 0.25);
});

test('idle and I/O wait time of /proc/stat is not busy, and guest time counts once', () => {
  assert.deepEqual(parseProcStat('cpu  100 20 30 400 50 6 7 8 90 9\ncpu0 1 1 1 1\n'), { busy: 171, total: 621 });
  assert.throws(() => parseProcStat('nonsense'));
});
