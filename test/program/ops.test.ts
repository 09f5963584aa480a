import assert from 'node:assert/strict';
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { hostname } from 'node:os';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { parseExposition } from '@techcommerce/cluster-metrics/testing';
import { type RunningCluster, startCluster } from '../support/cluster.ts';
import { postFault } from '../support/faults.ts';
import { until } from '../support/wait.ts';

const OPEN_METRICS = 'application/openmetrics-text';
/** What Prometheus 3 sends. */
const PROMETHEUS_ACCEPT =
  'application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2';

function get(url: string, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(url, { headers, signal: AbortSignal.timeout(10_000) });
}

/** The body as it was sent; `fetch` would decompress it. */
async function readRaw(url: string, headers: Record<string, string>) {
  const asked = request(url, { headers }).end();
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  return { encoding: response.headers['content-encoding'], body: await buffer(response) };
}

/** Names and labels of all series, without those of Node.js's active resources, which come and go. */
function series(text: string, contentType: string): string[] {
  const { samples } = parseExposition(text, contentType);
  return samples.map(({ series }) => series).filter((series) => !series.startsWith('nodejs_active_'));
}

test('the primary and the shop give the same answer to /metrics', async (t) => {
  const shop = await startCluster(t, { workers: 2 });
  await shop.visitor().get('/');

  for (const accept of ['*/*', 'text/plain', PROMETHEUS_ACCEPT, OPEN_METRICS]) {
    await t.test(`Accept: ${accept.slice(0, 40)}`, async () => {
      // The first scrape through the shop adds its own route's series, so both are read after it.
      await get(`${shop.shopUrl}/metrics`, { accept });
      const fromShop = await get(`${shop.shopUrl}/metrics`, { accept });
      const fromPrimary = await get(`${shop.opsUrl}/metrics`, { accept });
      for (const header of ['content-type', 'cache-control', 'vary', 'etag']) {
        assert.equal(fromShop.headers.get(header), fromPrimary.headers.get(header), header);
      }
      assert.equal(fromPrimary.headers.get('cache-control'), 'no-store');
      assert.equal(fromPrimary.headers.get('etag'), null, 'each scrape is new');
      const openMetrics = accept.includes(OPEN_METRICS);
      const contentType = fromPrimary.headers.get('content-type') ?? '';
      assert.match(
        contentType,
        openMetrics ? /^application\/openmetrics-text; version=1/ : /^text\/plain; version=0\.0\.4/,
      );
      const [shopText, primaryText] = [await fromShop.text(), await fromPrimary.text()];
      assert.deepEqual(series(shopText, contentType).sort(), series(primaryText, contentType).sort());
      assert.equal(primaryText.endsWith('# EOF\n'), openMetrics);
    });
  }

  await t.test('/metrics is compressed with gzip only when the client accepts it', async () => {
    for (const url of [shop.shopUrl, shop.opsUrl]) {
      for (const accept of ['*/*', PROMETHEUS_ACCEPT]) {
        const zipped = await readRaw(`${url}/metrics`, { accept, 'accept-encoding': 'gzip' });
        assert.equal(zipped.encoding, 'gzip', `${url} ${accept}`);
        assert.ok(parseExposition(gunzipSync(zipped.body).toString()).has('shop_errors_total'));
      }
      for (const encoding of ['identity', 'gzip;q=0', '*;q=0', 'gzip;q=x', ',', '']) {
        const plain = await readRaw(`${url}/metrics`, { 'accept-encoding': encoding });
        assert.equal(plain.encoding, undefined, encoding);
        assert.ok(parseExposition(plain.body.toString()).has('shop_errors_total'), encoding);
      }
    }
  });

  await t.test('?worker=N shows one worker alone, and a wrong N is an error', async () => {
    const one = await shop.metrics('?worker=1');
    assert.ok(one.has('shop_cpu_usage_ratio', { worker: 1 }));
    assert.ok(!one.has('shop_cpu_usage_ratio', { worker: 2 }));
    assert.equal((await get(`${shop.opsUrl}/metrics?worker=3`)).status, 404);
    assert.equal((await get(`${shop.opsUrl}/metrics?worker=x`)).status, 400);
    const before = await shop.metrics();
    assert.equal((await get(`${shop.shopUrl}/metrics?worker=x`)).status, 400);
    assert.equal((await get(`${shop.shopUrl}/metrics?worker=3`)).status, 404);
    const change = (await shop.metrics()).since(before);
    assert.equal(change.of('shop_errors_total', { route: '/metrics', type: 'validation' }), 1);
    assert.equal(change.of('shop_errors_total', { route: '/metrics', type: 'not_found' }), 1);
    assert.equal(change.of('shop_errors_total'), 2);
  });

  await t.test('/status describes the cluster', async () => {
    const status = await shop.status();
    assert.equal(status.primary.pid, shop.pid);
    assert.deepEqual(Object.keys(status), ['primary', 'workers', 'database']);
    assert.deepEqual(Object.keys(status.primary), ['pid', 'startedAt', 'version']);
    assert.deepEqual(
      status.workers.map(({ worker, state, restarts }) => ({ worker, state, restarts })),
      [1, 2].map((worker) => ({ worker, state: 'serving', restarts: 0 })),
    );
    assert.deepEqual(Object.keys(status.workers[0] ?? {}), ['worker', 'pid', 'state', 'startedAt', 'restarts']);
    assert.deepEqual(status.database, { embedded: false, up: true });
  });

  await t.test('the primary serves health checks and a page for people, and nothing of the shop', async () => {
    for (const url of [shop.shopUrl, shop.opsUrl]) {
      assert.equal((await get(`${url}/livez`)).status, 200);
      assert.equal((await get(`${url}/readyz`)).status, 200);
    }
    const page = await get(`${shop.opsUrl}/`);
    assert.match(page.headers.get('content-type') ?? '', /^text\/html/);
    assert.match(await page.text(), /href="\/metrics"/);
    assert.equal((await get(`${shop.opsUrl}/shop`)).status, 404);
    const faults = await get(`${shop.opsUrl}/faults`);
    assert.equal(faults.status, 404);
    assert.match(await faults.text(), /start the shop with FAULTS=true/);
    assert.equal((await postFault(shop, { name: 'slow_code', on: 'true' })).status, 404);
    assert.doesNotMatch(await (await get(`${shop.opsUrl}/`)).text(), /slow_code/);
    assert.equal((await fetch(`${shop.opsUrl}/metrics`, { method: 'POST' })).status, 405);
  });
});

test('/metrics and /status require the token on both ports', async (t) => {
  const token = 'scrape-me.please';
  const shop = await startCluster(t, { workers: 1, env: { METRICS_TOKEN: token, FAULTS: 'true' } });
  const debug = `${shop.opsUrl}/debug/stack?worker=1`;
  for (const url of [
    `${shop.opsUrl}/metrics`,
    `${shop.shopUrl}/metrics`,
    `${shop.opsUrl}/status`,
    debug,
    `${shop.opsUrl}/faults`,
  ]) {
    for (const authorization of ['', 'Bearer wrong', `Basic ${token}`, `Bearer ${token}x`]) {
      const refused = await get(url, authorization ? { authorization } : {});
      assert.equal(refused.status, 401, `${url} ${authorization}`);
      assert.match(refused.headers.get('www-authenticate') ?? '', /^Bearer/);
      assert.doesNotMatch(await refused.text(), /shop_errors_total|"workers"|main thread|slow_code/);
    }
    assert.equal((await get(url, { authorization: `Bearer ${token}` })).status, 200, url);
  }
  const wanted = { name: 'slow_code', on: 'true' };
  assert.equal((await postFault(shop, wanted)).status, 401);
  assert.equal((await postFault(shop, wanted, { authorization: `Bearer ${token}` })).status, 200);
  assert.equal((await get(`${shop.opsUrl}/livez`)).status, 200);
  assert.doesNotMatch(await (await get(`${shop.opsUrl}/`)).text(), new RegExp(String(shop.pid)));
});

test('a primary on the loopback answers to its own names only, and pages of other sites cannot read it', async (t) => {
  const shop = await startCluster(t, { workers: 1 });
  const ask = async (path: string, host: string) => {
    const asked = request(`${shop.opsUrl}${path}`, { headers: { host }, setHost: false }).end();
    const [response] = (await once(asked, 'response')) as [IncomingMessage];
    return { status: response.statusCode, headers: response.headers, text: String(await buffer(response)) };
  };
  for (const path of ['/', '/metrics', '/status', '/livez', '/readyz', '/nowhere']) {
    const refused = await ask(path, 'evil.example');
    assert.equal(refused.status, 421, path);
    assert.doesNotMatch(refused.text, /shop_|"workers"/);
    const answered = await ask(path, 'localhost');
    assert.notEqual(answered.status, 421, path);
    for (const { headers } of [refused, answered]) {
      assert.equal(headers['x-content-type-options'], 'nosniff', path);
      assert.equal(headers['cross-origin-resource-policy'], 'same-origin', path);
    }
  }
});

test("METRICS_ON_SHOP_PORT=false makes /metrics a 404 on the shop's port", async (t) => {
  const shop: RunningCluster = await startCluster(t, { workers: 1, env: { METRICS_ON_SHOP_PORT: 'false' } });
  assert.equal((await get(`${shop.shopUrl}/metrics`)).status, 404);
  await until('the primary still answers', async () => (await get(`${shop.opsUrl}/metrics`)).ok);
});

const ownName = hostname();
const { address } = await lookup(ownName, 4).catch(() => ({ address: '' }));

test("a primary on the machine's own name answers to it, and so does the shop's /metrics", {
  skip: address.startsWith('127.') ? false : `the name ${ownName} is not the loopback here`,
}, async (t) => {
  const shop = await startCluster(t, { workers: 1, env: { METRICS_HOST: ownName } });
  assert.equal(new URL(shop.opsUrl).hostname, ownName.toLowerCase());
  for (const url of [shop.opsUrl, shop.shopUrl]) assert.equal((await get(`${url}/metrics`)).status, 200, url);
  // Not the loopback, and no token.
  for (const path of ['/debug/stack?worker=1', '/debug/profile?worker=1', '/debug/heap?worker=1']) {
    assert.equal((await get(`${shop.opsUrl}${path}`)).status, 403, path);
  }
});
