import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import fs from 'node:fs';
import { IncomingMessage, request, ServerResponse } from 'node:http';
import { syncBuiltinESMExports } from 'node:module';
import { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createGzip } from 'node:zlib';
import { ClusterRegistry, createStoreDirectory, openStore, WorkerRegistry } from '@techcommerce/cluster-metrics';
import { parseExposition } from '@techcommerce/cluster-metrics/testing';
import Koa from 'koa';
import { timeRequests } from '../../src/instrument/http.ts';
import { duringWait, RequestClock } from '../../src/instrument/request-clock.ts';
import { createWorkerMetrics, type MeasuredRoute } from '../../src/instrument/worker-metrics.ts';
import { shopRoutes } from '../../src/web/index.ts';
import { until } from '../support/wait.ts';
import { type MeasuredApp, measuredApp } from '../support/worker-metrics.ts';

const DURATION = 'http_request_duration_seconds';
const SIZE = 'http_response_size_bytes';
const PAYMENT_MS = 20;
/** Less than `PAYMENT_MS`: a timer may be early by a millisecond. */
const LEAST_PAYMENT_SECONDS = 0.018;

/** Sends a request of any method and path, which fetch would refuse, and reads the answer to its end. */
async function send(app: MeasuredApp, method: string, path: string, headers = {}): Promise<{ body: Buffer }> {
  const sent = request(`${app.url}${path}`, { method, headers }).end();
  const [response] = await once(sent, 'response');
  return { body: Buffer.concat(await response.toArray()) };
}

test('three requests count three by method, route template and status', async (t) => {
  const app = await measuredApp(t, {
    '/detail/:id'(ctx) {
      if (ctx.method === 'POST') ctx.redirect('/');
      else ctx.body = `product ${ctx.params.id}`;
    },
  });
  const before = await app.scrape();

  for (const id of [1, 2, 3]) await send(app, 'GET', `/detail/${id}?from=home`);
  await send(app, 'POST', '/detail/1');
  await send(app, 'GET', '/nowhere');

  const change = (await app.scrape()).since(before);
  assert.equal(change.of(`${DURATION}_count`), 5);
  assert.equal(change.of(`${DURATION}_count`, { method: 'GET', route: '/detail/:id', status_code: 200 }), 3);
  assert.equal(change.of(`${DURATION}_count`, { method: 'POST', route: '/detail/:id', status_code: 302 }), 1);
  assert.equal(change.of(`${DURATION}_count`, { method: 'GET', route: 'unmatched', status_code: 404 }), 1);
});

test('every response is counted before its client receives it', async (t) => {
  const app = await measuredApp(t, {
    '/'(ctx) {
      ctx.body = 'home';
    },
  });
  for (let sent = 1; sent <= 50; sent++) {
    await send(app, 'GET', '/');
    assert.equal((await app.scrape()).of(`${DURATION}_count`, { route: '/', status_code: 200 }), sent);
  }
});

test('the duration of a request falls into the bucket of its seconds', async (t) => {
  const app = await measuredApp(t, {
    async '/slow'(ctx) {
      await sleep(120);
      ctx.body = 'slow';
    },
  });
  await send(app, 'GET', '/slow');
  const scrape = await app.scrape();
  const labels = { method: 'GET', route: '/slow', status_code: 200 };
  assert.equal(scrape.of(`${DURATION}_bucket`, { ...labels, le: 0.1 }), 0);
  assert.equal(scrape.of(`${DURATION}_bucket`, { ...labels, le: 10 }), 1);
  const seconds = scrape.of(`${DURATION}_sum`, labels);
  assert.ok(seconds >= 0.119 && seconds < 5, `${seconds} s`);
});

test('the size of a response is the number of bytes that were sent', async (t) => {
  const text = 'á'.repeat(1000);
  const bodies = { text, buffer: Buffer.alloc(3000), json: { text }, missing: undefined, stream: null };
  const app = await measuredApp(t, {
    '/detail/:id'(ctx) {
      const kind = ctx.params.id as keyof typeof bodies;
      if (kind === 'stream') ctx.body = Readable.from([Buffer.alloc(70_000), Buffer.alloc(5)]);
      else if (kind === 'missing') ctx.status = 200;
      else ctx.body = bodies[kind];
    },
  });
  for (const kind of Object.keys(bodies)) {
    const before = await app.scrape();
    const { body } = await send(app, 'GET', `/detail/${kind}`);
    const change = (await app.scrape()).since(before);
    assert.equal(change.of(`${SIZE}_count`), 1, kind);
    assert.equal(change.of(`${SIZE}_sum`), body.length, kind);
    assert.ok(body.length > 0, kind);
  }
  const before = await app.scrape();
  await send(app, 'HEAD', '/detail/text');
  const change = (await app.scrape()).since(before);
  assert.equal(change.of(`${SIZE}_count`, { method: 'HEAD' }), 1);
  assert.equal(change.of(`${SIZE}_sum`), 0);
});

test('the size of a compressed response is its compressed size', async (t) => {
  const app = await measuredApp(t, {
    '/'(ctx) {
      ctx.set('Content-Encoding', 'gzip');
      ctx.body = Readable.from(['<p>mochila</p>'.repeat(20_000)]).pipe(createGzip());
    },
  });
  const { body } = await send(app, 'GET', '/');
  assert.ok(body.length > 100 && body.length < 20_000);
  const scrape = await app.scrape();
  assert.equal(scrape.of(`${SIZE}_sum`), body.length);
  assert.equal(scrape.of(`${SIZE}_count`), 1);
});

test('what a request counts is in the file before its answer is sent, by one write', async (t) => {
  // The heartbeat, which writes everything again once a second.
  t.mock.timers.enable({ apis: ['setInterval'] });
  const directory = createStoreDirectory({ name: 'writes' });
  const reader = new ClusterRegistry({ directory: directory.path });
  const store = openStore({ directory: directory.path, worker: 1 });
  const metrics = createWorkerMetrics(new WorkerRegistry(store), { worker: '1', routes: shopRoutes, poolMax: 3 });
  metrics.declareProducts(Array.from({ length: 24 }, (_, i) => `product-${i}`));
  store.flush();
  const write = t.mock.method(fs, 'writeSync');
  syncBuiltinESMExports();
  t.after(() => {
    write.mock.restore();
    syncBuiltinESMExports();
    store.close();
    reader.close();
    directory.remove();
  });
  const inFile = async (name: string, labels: Record<string, string>) =>
    parseExposition(await reader.clusterMetrics()).of(name, labels);
  let nowMs = performance.now();
  t.mock.method(performance, 'now', () => nowMs);
  const timed = timeRequests(metrics);
  /** @returns the writes that the request took */
  async function answer({ method, route, statuses }: MeasuredRoute, durationMs: number): Promise<number> {
    const request = Object.assign(new IncomingMessage(new Socket()), { method, url: '/' });
    const ctx = new Koa().createContext(request, new ServerResponse(request));
    const writes = write.mock.callCount();
    await timed(ctx, async () => {
      nowMs += durationMs;
      ctx._matchedRoute = route;
      ctx.status = statuses[0] ?? 200;
      if (route === '/detail/:id') metrics.productViews.inc({ product: 'product-23' });
    });
    return write.mock.callCount() - writes;
  }
  // The first durations between two powers of two make a chunk of bins, which takes writes of its own.
  const durationsMs = [1.5, 3];
  for (const durationMs of durationsMs) for (const route of shopRoutes) await answer(route, durationMs);
  for (const route of shopRoutes) {
    const labels = { method: route.method, route: route.route };
    for (const [i, durationMs] of durationsMs.entries()) {
      const name = `${route.method} ${route.route} in ${durationMs} ms`;
      assert.equal(await answer(route, durationMs), 1, name);
      const writes = write.mock.callCount();
      assert.equal(await inFile(`${DURATION}_count`, labels), durationsMs.length + i + 1, name);
      assert.equal(write.mock.callCount() - writes, 0, `${name}: nothing was left for a later write`);
    }
  }
  assert.equal(await inFile('shop_product_views_total', { product: 'product-23' }), 2 * durationsMs.length);
});

test('a thousand paths and methods add no series', async (t) => {
  const app = await measuredApp(t, {
    '/detail/:id'(ctx) {
      ctx.body = 'product';
    },
  });
  const methods = ['GET', 'PROPFIND', 'MKCOL', 'PURGE', 'TRACE', 'REPORT', 'OPTIONS', 'DELETE', 'LINK', 'SEARCH'];
  async function round(): Promise<void> {
    for (let i = 0; i < 500; i++) {
      const method = methods[i % methods.length] as string;
      await send(app, method, `/detail/${Math.random()}`);
      await send(app, method, `/${Math.random()}/${i}`);
    }
  }
  await round();
  const first = await app.scrape();
  await round();
  const second = await app.scrape();
  assert.equal(second.samples.length, first.samples.length);
  assert.equal(second.since(first).of(`${DURATION}_count`), 1000);
  // Payments have a label of this name too.
  const ofRequests = second.samples.filter(({ name }) => name.startsWith('http_'));
  const seen = new Set(ofRequests.map(({ labels }) => labels.method).filter(Boolean));
  assert.deepEqual([...seen].sort(), ['DELETE', 'GET', 'OPTIONS', 'POST', 'TRACE', '_OTHER']);
});

test('requests in flight are counted, and the count is 0 after the clients have hung up', async (t) => {
  const gate = new EventEmitter();
  const responses: ServerResponse[] = [];
  const app = await measuredApp(t, {
    async '/slow'(ctx) {
      responses.push(ctx.res);
      await once(gate, 'open');
      ctx.body = 'at last';
    },
  });
  const waiting = Array.from({ length: 5 }, () => {
    const sent = request(`${app.url}/slow`).end();
    sent.on('error', () => {});
    return sent;
  });
  const inFlight = async () => (await app.scrape()).of('http_requests_in_flight');
  await until('five in flight', async () => (await inFlight()) === 5);
  for (const sent of waiting.slice(0, 4)) sent.destroy();
  await until('four hang-ups seen', () => responses.filter(({ destroyed }) => destroyed).length === 4);
  gate.emit('open');
  await until('none in flight', async () => (await inFlight()) === 0);
  const scrape = await app.scrape();
  assert.equal(scrape.of(`${DURATION}_count`, { route: '/slow', status_code: 499 }), 4);
  assert.equal(scrape.of(`${DURATION}_count`, { route: '/slow', status_code: 200 }), 1);
});

test('an unhandled error is counted with the status that Koa answers', async (t) => {
  const app = await measuredApp(t, {
    '/'() {
      throw new Error('oops');
    },
    '/slow'(ctx) {
      ctx.throw(418, 'teapot');
    },
  });
  await send(app, 'GET', '/');
  await send(app, 'GET', '/slow');
  const scrape = await app.scrape();
  assert.equal(scrape.of(`${DURATION}_count`, { route: '/', status_code: 500 }), 1);
  assert.equal(scrape.of(`${DURATION}_count`, { route: '/slow', status_code: 418 }), 1);
  assert.equal(scrape.of('http_requests_in_flight'), 0);
});

test('a request is charged for what it waits for after another request has ended', async (t) => {
  const gate = new EventEmitter();
  const app = await measuredApp(t, {
    async '/slow'(ctx) {
      gate.emit('waits');
      await once(gate, 'open');
      await duringWait('payment', () => sleep(PAYMENT_MS));
      ctx.body = 'paid';
    },
    '/'(ctx) {
      ctx.body = 'home';
    },
  });
  const waits = once(gate, 'waits');
  const slow = send(app, 'GET', '/slow');
  await waits;
  await send(app, 'GET', '/');
  gate.emit('open');
  await slow;
  const spent = (await app.scrape()).of('shop_request_time_seconds_total', { route: '/slow', spent: 'payment' });
  assert.ok(spent > LEAST_PAYMENT_SECONDS, `${spent} s`);
});

test('the parts of the request time add up to its whole', async (t) => {
  const app = await measuredApp(t, {
    async '/slow'(ctx) {
      await sleep(PAYMENT_MS);
      await duringWait('payment', () => sleep(PAYMENT_MS));
      ctx.body = 'paid';
    },
    async '/'(ctx) {
      // Waits that overlap: each moment counts once.
      await Promise.all([
        duringWait('payment', () => sleep(PAYMENT_MS)),
        duringWait('payment', () => sleep(PAYMENT_MS)),
      ]);
      ctx.body = 'paid';
    },
  });
  await send(app, 'GET', '/slow');
  await send(app, 'GET', '/');
  const scrape = await app.scrape();
  for (const route of ['/slow', '/']) {
    const whole = scrape.of(`${DURATION}_sum`, { route });
    const parts = scrape.of('shop_request_time_seconds_total', { route });
    assert.ok(Math.abs(whole - parts) < 1e-9, `${route}: ${parts} of ${whole}`);
  }
  for (const { route, spent } of [
    { route: '/slow', spent: 'payment' },
    { route: '/slow', spent: 'app' },
    { route: '/', spent: 'payment' },
  ]) {
    const seconds = scrape.of('shop_request_time_seconds_total', { route, spent });
    assert.ok(seconds > LEAST_PAYMENT_SECONDS, `${route}, ${spent}: ${seconds} s`);
  }
});

test('a moment of several waits belongs to the database, else to the wait for a connection, else to the payment', () => {
  const clock = new RequestClock();
  const nowMs = performance.now();
  const at = (seconds: number) => nowMs + seconds * 1000;
  clock.begin('payment', at(10));
  clock.begin('db_wait', at(11));
  clock.begin('db', at(13));
  clock.end('db_wait', at(17));
  clock.end('db', at(25));
  clock.end('payment', at(41));
  const { db, db_wait, payment } = clock.split;
  const rounded = [db, db_wait, payment].map((seconds) => Math.round(seconds));
  assert.deepEqual(rounded, [12, 2, 17]);
});

test('a request that was answered is charged for no more of the wait that goes on', async () => {
  const clock = new RequestClock();
  clock.begin('payment');
  await sleep(PAYMENT_MS);
  clock.stop();
  const { split, totalSeconds } = clock;
  await sleep(PAYMENT_MS);
  clock.end('payment');
  assert.deepEqual(clock.split, split);
  assert.equal(clock.totalSeconds, totalSeconds);
  assert.ok(split.payment > LEAST_PAYMENT_SECONDS);
  assert.ok(Math.abs(split.app + split.payment - totalSeconds) < 1e-9);
});
