import assert from 'node:assert/strict';
import { request } from 'node:http';
import { type TestContext, test } from 'node:test';
import { createRateLimiter } from '../../../src/web/index.ts';
import { openPool } from '../../support/database.ts';
import { recordLog, silentLog } from '../../support/log.ts';
import { dump, startShop, type TestShop } from '../../support/shop.ts';
import { PATIENT } from '../../support/test-server.ts';
import { until } from '../../support/wait.ts';

const ADD = { type: 'rate_limited', route: '/add_to_cart/:id' };
const COUNTING = { operation: 'insert', table: 'rate_limits' };

interface Limit {
  posts: number;
  windowSeconds?: number;
  /** Trusted proxies in front. */
  proxies?: number;
  poolMax?: number;
  deadlineMs?: number;
}

/** The time that a busy machine may need. */
const PATIENT_MS = 30_000;

/** An instance with one worker. Instances that are made from one shop share its database. */
async function instance(t: TestContext, of: TestShop, { proxies = 0, poolMax = 10, ...limit }: Limit) {
  const { log, lines } = recordLog();
  const database = openPool(t, of, { poolMax, log });
  const rateLimiter = createRateLimiter({ database, log, deadlineMs: PATIENT_MS, ...limit });
  const shop = await of.another({ database, rateLimiter, options: { trustProxy: proxies } });
  async function post(forwardedFor?: string): Promise<{ status: number; retryAfter: string | null }> {
    const headers: Record<string, string> = forwardedFor === undefined ? {} : { 'x-forwarded-for': forwardedFor };
    const { status, headers: given } = await shop.visitor().post('/add_to_cart/1', { quantity: 1 }, headers);
    return { status, retryAfter: given.get('retry-after') };
  }
  return { shop, post, log: () => lines.join('') };
}

test('an address that posts too often gets 429, and still gets pages', async (t) => {
  const { shop, post } = await instance(t, await startShop(t), { posts: 3 });
  for (let i = 0; i < 3; i++) assert.equal((await post(`10.0.0.${i}`)).status, 302);

  const before = await dump(shop.knex);
  for (let i = 0; i < 5; i++) {
    const refused = await post(`10.0.0.${i}`);
    assert.equal(refused.status, 429);
    assert.match(refused.retryAfter ?? '', /^([1-9]|[1-5]\d|60)$/);
  }
  // A refused post does not store a session either.
  assert.equal(await dump(shop.knex), before);
  assert.equal((await shop.visitor().get('/cart')).status, 200);
  const metrics = await shop.metrics();
  assert.equal(metrics.of('shop_errors_total', ADD), 5);
  assert.equal(metrics.of('shop_errors_total', { type: 'overload' }), 0);
});

test('a page asks for no count, a post asks for one, and a post beyond a known limit asks for none', async (t) => {
  const { shop, post } = await instance(t, await startShop(t), { posts: 2 });
  const counts = async () => (await shop.metrics()).of('shop_db_operation_duration_seconds_count', COUNTING);
  for (const path of ['/', '/shop', '/detail/1', '/cart']) await shop.visitor().get(path);
  assert.equal(await counts(), 0);
  for (const after of [1, 2, 2, 2]) {
    await post();
    assert.equal(await counts(), after);
  }
});

test('exactly as many posts as allowed pass when many arrive at once on several instances', async (t) => {
  const of = await startShop(t);
  function limiter(poolMax: number) {
    const database = openPool(t, of, { poolMax, deadlines: PATIENT });
    return createRateLimiter({ database, log: silentLog, posts: 20, windowSeconds: 600, deadlineMs: PATIENT_MS });
  }
  const posts = [10, 10, 1].map(limiter).flatMap(({ count }) => Array.from({ length: 25 }, () => count('10.0.0.1')));
  const passed = (await Promise.all(posts)).filter((retryAfterSeconds) => retryAfterSeconds === 0);
  assert.equal(passed.length, 20);
  // An instance that starts now has the limit too.
  assert.ok((await limiter(1).count('10.0.0.1')) > 0);
});

test('each worker keeps the limit by itself while the counts do not answer, and no post waits for long', async (t) => {
  const of = await startShop(t);
  const { post, log } = await instance(t, of, { posts: 3, proxies: 1, deadlineMs: 500 });
  const hold = await of.knex.transaction();
  await hold.raw('lock table rate_limits in access exclusive mode');
  for (let i = 0; i < 3; i++) assert.equal((await post('10.0.0.1')).status, 302);
  for (let i = 0; i < 3; i++) assert.equal((await post('10.0.0.1')).status, 429);
  assert.equal((await post('10.0.0.2')).status, 302);
  // The other instances did not ask, or their second was over.
  assert.match(log(), /count of form posts failed/);
  await hold.commit();
  let posts = 0;
  await until('the shared count again', async () => {
    // From another client each time: this worker does not ask again for a client beyond its limit.
    const address = `10.0.1.${++posts}`;
    await post(address);
    return of.knex('rate_limits').where({ address }).first();
  });
});

test('the limit holds without its table and without its database', async (t) => {
  const of = await startShop(t);
  const { post } = await instance(t, of, { posts: 3 });
  await of.knex.raw('drop table rate_limits');
  assert.deepEqual(await statuses(post, 5), [302, 302, 302, 429, 429]);
});

async function statuses(post: () => Promise<{ status: number }>, times: number): Promise<number[]> {
  const found: number[] = [];
  for (let i = 0; i < times; i++) found.push((await post()).status);
  return found;
}

test('a window ends for this worker and for the other workers', async (t) => {
  const of = await startShop(t);
  const limit = { posts: 1, windowSeconds: 3 };
  const workers = [await instance(t, of, limit), await instance(t, of, limit)];
  assert.equal((await workers[0]?.post())?.status, 302);
  for (const { post } of workers) {
    const hints: (string | null)[] = [];
    await until('the next window', async () => {
      const { status, retryAfter } = await post();
      if (status === 429) hints.push(retryAfter);
      return status === 302;
    });
    assert.ok(hints.length > 0, 'the window of the last post was still open');
    for (const hint of hints) assert.match(hint ?? '', /^[1-3]$/);
  }
});

test('a clock that is set, here or at the database, refuses no client and makes no client wait longer', async (t) => {
  const of = await startShop(t);
  const first = await instance(t, of, { posts: 1 });
  assert.equal((await first.post()).status, 302);
  // The windows of a database whose clock was set back or forth by an hour.
  await of.knex('rate_limits').update({ window_ends_at: of.knex.raw("window_ends_at + interval '1 hour'") });
  const second = await instance(t, of, { posts: 1 });
  assert.equal((await second.post()).status, 302);
  const third = await instance(t, of, { posts: 1 });
  assert.match((await third.post()).retryAfter ?? '', /^([1-9]|[1-5]\d|60)$/);
  await of.knex('rate_limits').update({ window_ends_at: of.knex.raw("window_ends_at - interval '1 hour'") });
  const fourth = await instance(t, of, { posts: 1 });
  assert.equal((await fourth.post()).status, 302);
  // The worker's own clock.
  t.mock.timers.enable({ apis: ['Date'], now: Date.now() - 3_600_000 });
  const refused = await fourth.post();
  assert.equal(refused.status, 429);
  assert.match(refused.retryAfter ?? '', /^([1-9]|[1-5]\d|60)$/);
});

test('a port, another notation or a zone makes no new client, and text that is no address counts for the proxy', async (t) => {
  const { post } = await instance(t, await startShop(t), { posts: 1, proxies: 1 });
  for (const [first, ...same] of [
    ['203.0.113.10', '203.0.113.10:50001', '203.0.113.10:50002', '::ffff:203.0.113.10', '[::ffff:cb00:710a]:443'],
    ['[2001:db8::5]:443', '2001:db8::5', '"[2001:db8::5]:50001"', '[2001:DB8:0:0:ffff::]', '2001:db8::1%eth0'],
    ['2001:db8:0:1::1', '[2001:db8:0:1:9::]:1'],
    ['fe80::1%eth0', 'fe80::2%eth1', '[fe80::3%2]:80'],
    ['10.0.0.1', '6.6.6.6, 10.0.0.1:7', ' 10.0.0.1 '],
    ['unknown', '', '_hidden', 'UNKNOWN:80', '300.1.1.1', '1', '10.0.0', '[::', '6.6.6.6,', ',', '[]:443'],
  ] as [string, ...string[]][]) {
    assert.equal((await post(first)).status, 302, first);
    for (const other of same) assert.equal((await post(other)).status, 429, `${other}, after ${first}`);
  }
  assert.equal((await post()).status, 429, 'no header, after unknown');
});

test('the client is as many entries from the right as there are proxies, or the leftmost of fewer', async (t) => {
  const of = await startShop(t);
  const { post, shop } = await instance(t, of, { posts: 1, proxies: 2 });
  assert.equal((await post('6.6.6.6, 10.0.0.1, 172.16.0.1')).status, 302);
  assert.equal((await post('7.7.7.7, 10.0.0.1:99, 172.16.0.2')).status, 429);
  assert.equal((await post('10.0.0.1')).status, 429);
  assert.equal((await post('10.0.0.2, 172.16.0.1')).status, 302);

  // Their entries for host and scheme are chosen in the same way. Entries of the client, further left, do not count.
  const asked = (host: string, proto: string) =>
    shop.visitor().get('/', { 'x-forwarded-host': host, 'x-forwarded-proto': proto });
  const secure = async (host: string, proto: string) =>
    (await asked(host, proto)).headers.get('strict-transport-security') !== null;
  assert.equal(await secure('loja.example', 'https'), true);
  assert.equal(await secure('loja.example', 'https, http'), true);
  assert.equal(await secure('loja.example', 'http, https, http'), true);
  assert.equal(await secure('loja.example', 'https, http, https'), false);
  const from = (host: string, i: number) => ({
    origin: 'https://loja.example',
    'x-forwarded-proto': 'https',
    'x-forwarded-host': host,
    'x-forwarded-for': `10.9.0.${i}, 172.16.0.1`,
  });
  const posted = async (host: string, i: number) =>
    (await shop.visitor().post('/add_to_cart/1', { quantity: 1 }, from(host, i))).status;
  assert.equal(await posted('evil.example, loja.example, inner:80', 1), 302);
  assert.equal(await posted('loja.example, evil.example, inner:80', 2), 403);
});

test('addresses in several headers are one list', async (t) => {
  const { shop } = await instance(t, await startShop(t), { posts: 1, proxies: 1 });
  const { hostname, port } = new URL(shop.origin);
  const post = (addresses: string[]) =>
    new Promise((resolve, reject) => {
      const headers = { 'x-forwarded-for': addresses, 'content-type': 'application/x-www-form-urlencoded' };
      request({ hostname, port, method: 'POST', path: '/add_to_cart/1', headers }, (answer) => {
        answer.resume();
        resolve(answer.statusCode);
      })
        .on('error', reject)
        .end('quantity=1');
    });
  assert.equal(await post(['6.6.6.6', '10.0.0.1']), 302);
  assert.equal(await post(['7.7.7.7', '10.0.0.1:5']), 429);
});
