import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { startCluster } from '../support/cluster.ts';
import { testDatabase } from '../support/database.ts';
import { dump } from '../support/shop.ts';
import { CUSTOMER } from '../support/visitor.ts';
import { until } from '../support/wait.ts';

const OLD_KEY = 'the key of last year long enough';
const NEW_KEY = 'the key of this year long enough';
const LIMIT = 25;

test('the running shop refuses strangers', async (t) => {
  const { knex, connection } = await testDatabase(t);
  const env = { SESSION_KEYS: OLD_KEY, TRUST_PROXY: 'true', RATE_LIMIT: String(LIMIT) };
  const shop = await startCluster(t, { workers: 2, database: connection, env });
  const from = (address: string) => ({ 'x-forwarded-for': address, 'x-forwarded-proto': 'https' });

  const owner = shop.visitor();
  await owner.post('/add_to_cart/2', { quantity: 1 }, from('10.0.0.1'));
  const bought = await owner.post('/checkout', CUSTOMER, from('10.0.0.1'));
  assert.match(bought.location ?? '', /^\/order_confirmation\/FS-/);
  await owner.post('/add_to_cart/1', { quantity: 3 }, from('10.0.0.1'));
  assert.equal((await owner.get(bought.location as string)).status, 200);
  const { id: item } = await knex('cart_items').where('quantity', 3).first();
  const { id: session } = await knex('sessions').first();

  await t.test("another shopper's item and order do not exist", async () => {
    const stranger = shop.visitor();
    await stranger.post('/add_to_cart/1', { quantity: 1 }, from('10.0.0.2'));
    const before = await dump(knex);
    const answers = [
      await stranger.post(`/update_quantity/${item}`, { quantity: 9 }, from('10.0.0.2')),
      await stranger.post(`/update_quantity/${item}`, { quantity: 0 }, from('10.0.0.2')),
      await stranger.post(`/remove_item/${item}`, {}, from('10.0.0.2')),
      await stranger.get(bought.location as string),
    ];
    for (const { status, text } of answers) {
      assert.equal(status, 404);
      assert.doesNotMatch(text, /Ana|Souza|ana@example/);
    }
    // A missing order has the same answer, so that the answer does not tell which numbers exist.
    const missing = await stranger.get(`/order_confirmation/FS-${'A'.repeat(16)}`);
    assert.equal(withoutId(missing.text), withoutId(answers[3]?.text ?? ''));
    assert.equal(await dump(knex), before);
  });

  await t.test('order numbers cannot be guessed', async () => {
    const guesser = shop.visitor();
    const number = bought.location?.split('/').at(-1) as string;
    const near = [...number].map(
      (_, i) => `${number.slice(0, i)}${number[i] === 'A' ? 'B' : 'A'}${number.slice(i + 1)}`,
    );
    const random = Array.from({ length: 100 }, () => `FS-${base32(16)}`);
    for (const guess of [
      ...near,
      ...random,
      number.toLowerCase(),
      `${number} `,
      `${number}%00`,
      '1',
      '%',
      "' or 1=1",
    ]) {
      const { status } = await guesser.get(`/order_confirmation/${guess}`);
      assert.ok(status === 404 || status === 400, `${status} for ${guess}`);
    }
  });

  await t.test('a cookie that is forged, signed by another shop, or too old is replaced', async () => {
    const cookieOf = (key: string, expire = Date.now() + 1e9) => {
      const value = Buffer.from(JSON.stringify({ id: session, _expire: expire, _maxAge: 1e9 })).toString('base64');
      return `fake_shop=${value}; fake_shop.sig=${sign(`fake_shop=${value}`, key)}`;
    };
    const cart = async (cookie: string) => {
      const page = await fetch(`${shop.shopUrl}/cart`, { headers: { cookie, ...from('10.0.0.3') } });
      const [, value = ''] = /^fake_shop_\w+=([^;]*)/.exec(page.headers.getSetCookie()[0] ?? '') ?? [];
      const given = value && (JSON.parse(Buffer.from(value, 'base64').toString()) as { id: string }).id;
      return { mine: /class="badge">3</.test(await page.text()), given };
    };
    // So the forger knows the method and lacks only the key.
    assert.equal((await cart(cookieOf(OLD_KEY))).mine, true);
    for (const cookie of [
      cookieOf('the key of another shop long too'),
      cookieOf(''),
      cookieOf(OLD_KEY).replace(/(?<=sig=)./, (first) => (first === '_' ? '-' : '_')),
      cookieOf(OLD_KEY).replace(/; .*/, ''),
      cookieOf(OLD_KEY, Date.now() - 1),
    ]) {
      const { mine, given } = await cart(cookie);
      assert.equal(mine, false);
      assert.ok(given && given !== session, given);
    }
  });

  await t.test('forms of another site are refused, and its frames stay empty', async () => {
    const before = await dump(knex);
    for (const headers of [
      { 'sec-fetch-site': 'cross-site' },
      { origin: 'https://evil.example' },
      { origin: 'null' },
    ]) {
      for (const path of ['/add_to_cart/1', '/checkout', `/remove_item/${item}`]) {
        const { status } = await owner.post(path, CUSTOMER, { ...headers, ...from('10.0.0.4') } as Record<
          string,
          string
        >);
        assert.equal(status, 403);
      }
    }
    assert.equal(await dump(knex), before);
    for (const path of ['/', '/checkout', '/nowhere', '/static/shop.css', '/livez']) {
      const { headers } = await owner.get(path, from('10.0.0.4'));
      const policy = headers.get('content-security-policy') ?? '';
      assert.match(policy, /default-src 'none'.*frame-ancestors 'none'/, path);
      assert.doesNotMatch(policy, /unsafe/);
      assert.equal(headers.get('x-frame-options'), 'DENY');
      assert.equal(headers.get('x-content-type-options'), 'nosniff');
      assert.match(headers.get('strict-transport-security') ?? '', /max-age=31536000/);
    }
    const fresh = await shop.visitor().get('/', from('10.0.0.4'));
    for (const line of fresh.headers.getSetCookie()) assert.match(line, /; secure.*; httponly|; httponly.*; secure/i);
  });

  await t.test('exactly as many posts as allowed pass, on all workers together', async () => {
    const route = '/add_to_cart/:id';
    const before = await Promise.all([1, 2].map((worker) => shop.metrics(`?worker=${worker}`)));
    const post = () =>
      shop.visitor().post('/add_to_cart/1', { quantity: 1 }, { ...from('10.0.0.5'), connection: 'close' });
    const answers: Awaited<ReturnType<typeof post>>[] = [];
    // As many at a time as one worker serves in time on a busy machine.
    for (let wave = 0; wave < 6; wave++) answers.push(...(await Promise.all(Array.from({ length: LIMIT / 2 }, post))));
    const refused = () => answers.filter(({ status }) => status === 429);
    await until('both workers have refused some', async () => {
      answers.push(await post());
      const after = await Promise.all([1, 2].map((worker) => shop.metrics(`?worker=${worker}`)));
      const counts = after.map((scrape, i) =>
        scrape.since(before[i] as typeof scrape).of('shop_errors_total', { type: 'rate_limited', route }),
      );
      return counts.every((count) => count > 0) && counts.reduce((sum, count) => sum + count) === refused().length;
    });
    for (const { headers } of refused()) assert.match(headers.get('retry-after') ?? '', /^([1-9]|[1-5]\d|60)$/);
    const passed = answers.filter(({ status }) => status === 302).length;
    assert.equal(passed + refused().length, answers.length);
    // On a machine so busy that a count takes half a second, each worker decides by itself and logs it.
    const undecided = shop.output().includes('count of form posts failed') ? 2 : 0;
    assert.ok(passed >= LIMIT && passed <= LIMIT * (1 + undecided), `${passed} passed`);
    assert.equal((await shop.visitor().post('/add_to_cart/1', { quantity: 1 }, from('10.0.0.6'))).status, 302);
  });

  await t.test('the limit of posts holds while the primary is paused', async () => {
    process.kill(shop.pid, 'SIGSTOP');
    try {
      const post = () => shop.visitor().post('/add_to_cart/1', { quantity: 1 }, from('10.0.0.7'));
      let passed = 0;
      for (let status = 302; status === 302; passed += 1) ({ status } = await post());
      // The last attempt did not.
      const undecided = shop.output().includes('count of form posts failed') ? 2 : 0;
      assert.ok(passed - 1 >= LIMIT && passed - 1 <= LIMIT * (1 + undecided), `${passed - 1} passed`);
      assert.equal((await post()).status, 429);
    } finally {
      process.kill(shop.pid, 'SIGCONT');
    }
  });

  await t.test('visitors stay logged in after a change of keys, and the old key can be removed later', async (t) => {
    await shop.stop();
    const between = await startCluster(t, {
      database: connection,
      env: { ...env, SESSION_KEYS: `${NEW_KEY},${OLD_KEY}` },
    });
    assert.match((await owner.get(`${between.shopUrl}/cart`, from('10.0.0.1'))).text, /class="badge">3</);
    await between.stop();
    const after = await startCluster(t, { database: connection, env: { ...env, SESSION_KEYS: NEW_KEY } });
    assert.match((await owner.get(`${after.shopUrl}/cart`, from('10.0.0.1'))).text, /class="badge">3</);
    assert.equal((await owner.get(`${after.shopUrl}${bought.location}`, from('10.0.0.1'))).status, 200);
  });
});

/** The signature of koa's cookies: HMAC-SHA1 of `name=value`, in base64 for URLs (keygrip's `index.js`). */
function sign(cookie: string, key: string): string {
  return createHmac('sha1', key).update(cookie).digest('base64url');
}

function base32(length: number): string {
  return Array.from(randomBytes(length), (byte) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'[byte % 32]).join('');
}

/** An error page without the parts that differ from request to request. */
function withoutId(page: string): string {
  return page.replace(/[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}/g, '');
}
