import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { createServer } from 'node:http';
import { syncBuiltinESMExports } from 'node:module';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import Koa from 'koa';
import { sessionCookie } from '../../../src/web/session.ts';
import type { RequestState } from '../../../src/web/state.ts';
import { whenDone } from '../../support/wait.ts';
import { measuredWorker } from '../../support/worker-metrics.ts';

const KEYS = ['a key that only this test knows'];
const MINUTE_MS = 60 * 1000;
const DAY_MS = 24 * 60 * MINUTE_MS;

interface Answer {
  id: string;
  /** Missing when it is unknown. */
  cartCount?: number;
  /** Cookies as a browser would send them back; empty when the answer sets none. */
  cookie: string;
}

/** An application whose pages answer with the visitor, and set the cart's count that `?count=` asks for. */
async function startApp(t: TestContext, { mostRemembered = 100, takesNotes = true } = {}) {
  const noted: string[] = [];
  /** Each reads and verifies one cookie. */
  let reads = 0;
  const app = new Koa<RequestState>();
  const visits = {
    note(id: string) {
      noted.push(id);
      return takesNotes;
    },
    async stop() {},
  };
  const { metrics, scrapeOnly } = measuredWorker();
  const { middleware } = sessionCookie(app, { keys: KEYS, visits, metrics, mostRemembered });
  const session = Object.getOwnPropertyDescriptor(app.context, 'session') as PropertyDescriptor;
  Object.defineProperty(app.context, 'session', {
    ...session,
    get() {
      reads += 1;
      return session.get?.call(this);
    },
  });
  app.use(middleware);
  app.use((ctx) => {
    const { visitor } = ctx.state;
    if (visitor && ctx.query.count) visitor.cartCount = Number(ctx.query.count);
    ctx.body = { ...visitor };
  });
  const server = createServer(app.callback());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  whenDone(t, async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    noted,
    async get(cookie = '', path = '/', headers = {}): Promise<Answer> {
      const response = await fetch(origin + path, { headers: { cookie, ...headers } });
      const lines = response.headers.getSetCookie().filter((line) => !/^[^=]+=;/.test(line));
      const visitor = (await response.json()) as Omit<Answer, 'cookie'>;
      return { ...visitor, cookie: lines.map((line) => line.split(';', 1)[0]).join('; ') };
    },
    async visitsWithoutCookie() {
      const name = 'shop_visits_without_cookie_total';
      return (await scrapeOnly(name)).of(name);
    },
    /** How often koa-session is asked for the content of a cookie meanwhile. */
    async readsOf(work: () => Promise<unknown>): Promise<number> {
      const before = reads;
      await work();
      return reads - before;
    },
  };
}

test('a cookie is verified once, and its visitor is noted once', async (t) => {
  const app = await startApp(t);
  const { id, cookie } = await app.get();
  assert.deepEqual(app.noted, [], 'no cookie came back yet');
  assert.equal(await app.readsOf(() => app.get(cookie)), 1);
  const pages = async () => {
    for (let i = 0; i < 5; i++) assert.deepEqual(await app.get(cookie), { id, cartCount: 0, cookie: '' });
  };
  assert.equal(await app.readsOf(pages), 0);
  assert.deepEqual(app.noted, [id]);
});

test('a visit that could not be taken is noted with the next page', async (t) => {
  const app = await startApp(t, { takesNotes: false });
  const { id, cookie } = await app.get();
  for (let i = 0; i < 3; i++) await app.get(cookie);
  assert.deepEqual(app.noted, [id, id, id]);
});

test('a visit without the cookie is counted, and a page that is fetched in advance is no visit', async (t) => {
  const app = await startApp(t);
  const { cookie } = await app.get();
  await app.get(cookie);
  await app.get('', '/', { 'sec-purpose': 'prefetch' });
  assert.equal(await app.visitsWithoutCookie(), 1);
  await app.get('another=1');
  assert.equal(await app.visitsWithoutCookie(), 2);
});

test('nothing that resembles a remembered cookie passes for it', async (t) => {
  const app = await startApp(t);
  const owner = await app.get('', '/?count=3');
  const other = await app.get('', '/?count=5');
  for (const { id, cookie } of [owner, other]) {
    for (let i = 0; i < 2; i++) assert.equal((await app.get(cookie)).id, id);
  }
  const partsOf = (cookie: string) =>
    /^(.*?)=(.*); (.*)=(.*)$/.exec(cookie)?.slice(1) as [string, string, string, string];
  const [name, value, sigName, signature] = partsOf(owner.cookie);
  const [, otherValue, , otherSignature] = partsOf(other.cookie);
  const flipped = signature.replace(/^./, (first) => (first === 'A' ? 'B' : 'A'));
  const content = JSON.parse(Buffer.from(value, 'base64').toString());
  const forged = Buffer.from(JSON.stringify({ ...content, cart: 99 })).toString('base64');
  for (const cookie of [
    `${name}=${value}`,
    `${name}=${value}; ${sigName}=`,
    `${name}=${value}; ${sigName}=${signature.slice(0, -1)}`,
    `${name}=${value}; ${sigName}=${flipped}`,
    `${name}=${value}; ${sigName}=${otherSignature}`,
    `${name}=${otherValue}; ${sigName}=${signature}`,
    `${name}=${forged}; ${sigName}=${signature}`,
    `${name}=${value.slice(0, -4)}; ${sigName}=${signature}`,
    `x${owner.cookie}`,
  ]) {
    const stranger = await app.get(cookie);
    assert.ok(![owner.id, other.id].includes(stranger.id), cookie);
    assert.equal(stranger.cartCount, 0, cookie);
    assert.notEqual(stranger.cookie, '', cookie);
  }
  assert.deepEqual(await app.get(owner.cookie), { id: owner.id, cartCount: 3, cookie: '' });
  // Which of several cookies is the visitor's does not depend on what was seen before.
  assert.equal((await app.get(`${owner.cookie}; ${other.cookie}`)).id, owner.id);
  assert.equal((await app.get(`${other.cookie}; ${owner.cookie}`)).id, other.id);
});

test("a remembered cookie's count is unknown after half an hour, the cookie is renewed, and worth nothing at its end", async (t) => {
  const app = await startApp(t);
  t.mock.timers.enable({ apis: ['Date'], now: Date.now() });
  const { id, cookie } = await app.get();
  t.mock.timers.tick(29 * MINUTE_MS);
  for (let i = 0; i < 2; i++) assert.deepEqual(await app.get(cookie), { id, cartCount: 0, cookie: '' });

  t.mock.timers.tick(MINUTE_MS);
  for (let i = 0; i < 2; i++) {
    const unknown = await app.get(cookie);
    assert.deepEqual([unknown.id, unknown.cartCount], [id, undefined]);
    assert.deepEqual(await app.get(unknown.cookie), { id, cookie: '' });
  }
  const renewed = await app.get(cookie, '/?count=4');
  for (let i = 0; i < 2; i++) assert.deepEqual(await app.get(renewed.cookie), { id, cartCount: 4, cookie: '' });

  t.mock.timers.tick(30 * DAY_MS - 30 * MINUTE_MS + 1);
  assert.notEqual((await app.get(cookie)).id, id);
  assert.equal((await app.get(renewed.cookie)).id, id);
});

test('a cookie that was forgotten for others is verified again, and long headers are never remembered', async (t) => {
  const app = await startApp(t, { mostRemembered: 2 });
  const visitors = [await app.get(), await app.get(), await app.get()];
  const inTurn = async () => {
    for (const { id, cookie } of visitors) assert.deepEqual(await app.get(cookie), { id, cartCount: 0, cookie: '' });
  };
  for (let round = 0; round < 3; round++) assert.equal(await app.readsOf(inTurn), visitors.length);

  const [{ id, cookie }] = visitors as [Answer, ...Answer[]];
  const long = `${cookie}; other=${'x'.repeat(500)}`;
  for (let i = 0; i < 2; i++) {
    assert.equal(await app.readsOf(async () => assert.equal((await app.get(long)).id, id)), 1);
  }
});

test('a header full of forged cookies and signatures costs one signature for each of 50 cookies', async (t) => {
  const app = await startApp(t);
  const { id, cookie } = await app.get();
  const createHmac = t.mock.method(crypto, 'createHmac');
  syncBuiltinESMExports();
  whenDone(t, () => {
    createHmac.mock.restore();
    syncBuiltinESMExports();
  });
  const forged = [
    ...Array.from({ length: 60 }, (_, i) => `fake_shop=${i}`),
    ...Array.from({ length: 850 }, () => 'fake_shop.sig=x'),
  ].join('; ');
  assert.ok(forged.length > 14_000);
  assert.notEqual((await app.get(forged)).id, id);
  const signatures = createHmac.mock.callCount();
  // The new visitor's cookie is signed too.
  assert.ok(signatures >= 50 && signatures <= 52, String(signatures));
  assert.equal((await app.get(`${cookie}; ${forged}`)).id, id);
});

test('many visitors at once each stay themselves', async (t) => {
  const app = await startApp(t, { mostRemembered: 20 });
  await Promise.all(
    Array.from({ length: 40 }, async (_, visitor) => {
      let cartCount = visitor;
      const first = await app.get('', `/?count=${cartCount}`);
      let { cookie } = first;
      for (let page = 1; page <= 15; page++) {
        const isAdd = page % 5 === 0;
        if (isAdd) cartCount += page;
        const answer = await app.get(cookie, isAdd ? `/?count=${cartCount}` : '/');
        assert.deepEqual([answer.id, answer.cartCount], [first.id, cartCount]);
        assert.equal(answer.cookie !== '', isAdd);
        cookie = answer.cookie || cookie;
      }
    }),
  );
});
