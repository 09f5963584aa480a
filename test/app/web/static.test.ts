import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type IncomingHttpHeaders, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import Koa from 'koa';
import { createAssets } from '../../../src/web/assets.ts';
import type { RequestState } from '../../../src/web/state.ts';
import { startShop } from '../../support/shop.ts';
import { whenDone } from '../../support/wait.ts';

/** Sends a path and headers unchanged; `fetch` normalizes paths and sends `Cache-Control` of its own. */
function raw(
  origin: string,
  path: string,
  headers: Record<string, string> = {},
): Promise<{ status: number; text: string; headers: IncomingHttpHeaders }> {
  return new Promise((resolve, reject) => {
    request(origin, { path, headers }, async (response) => {
      let text = '';
      for await (const chunk of response) text += chunk;
      resolve({ status: response.statusCode ?? 0, text, headers: response.headers });
    })
      .on('error', reject)
      .end();
  });
}

test('a file with a version is cached for ever, one without a version for a minute, and neither is sent twice', async (t) => {
  const shop = await startShop(t);
  const page = await shop.visitor().get('/');
  const url = /href="(\/static\/shop\.css\?v=[\da-f]+)"/.exec(page.text)?.[1];
  assert.ok(url);

  const versioned = await raw(shop.origin, url);
  assert.equal(versioned.status, 200);
  assert.match(versioned.headers['content-type'] ?? '', /^text\/css/);
  assert.equal(versioned.headers['cache-control'], 'public, max-age=31536000, immutable');
  assert.equal(versioned.headers['set-cookie'], undefined);
  const again = await raw(shop.origin, url, { 'if-none-match': versioned.headers.etag ?? '' });
  assert.equal(again.status, 304);
  assert.equal(again.headers['cache-control'], 'public, max-age=31536000, immutable');

  for (const path of ['/static/shop.css', '/static/shop.css?v=0000000000000000']) {
    assert.equal((await fetch(`${shop.origin}${path}`)).headers.get('cache-control'), 'public, max-age=60');
  }
});

test('every file that a page refers to exists', async (t) => {
  const shop = await startShop(t);
  const visitor = shop.visitor();
  await visitor.post('/add_to_cart/1', { quantity: 1 });
  const urls = new Set<string>();
  for (const path of ['/', '/shop', '/shop?page=2', '/detail/1', '/contact', '/cart', '/checkout']) {
    for (const [, url] of (await visitor.get(path)).text.matchAll(/(?:src|href)="(\/static\/[^"]+)"/g)) {
      urls.add(url as string);
    }
  }
  assert.ok(urls.size > 5);
  for (const url of urls) {
    assert.match(url, /\?v=[\da-f]{16}$/);
    assert.equal((await fetch(`${shop.origin}${url}`)).status, 200, url);
  }
});

test('no path leads out of the public folder', async (t) => {
  const shop = await startShop(t);
  for (const path of [
    '/static/../package.json',
    '/static/..%2fpackage.json',
    '/static/%2e%2e/package.json',
    '/static/%2e%2e%2f%2e%2e%2f%2e%2e%2fetc%2fpasswd',
    '/static/....//package.json',
    '/static/..%5c..%5cpackage.json',
    '/static/%252e%252e/package.json',
    '/static//etc/passwd',
    '/static/products/../../package.json',
    '/static/shop.css%00.png',
    '/static/',
    '/static',
    '/static/products',
    '/static/__proto__',
    '/../package.json',
  ]) {
    const { status, text } = await raw(shop.origin, path);
    assert.ok(status === 404 || status === 400, `${path} ${status}`);
    assert.doesNotMatch(text, /"dependencies"|root:/);
  }
});

test('a file that changes on disk or is deleted is served as it was when it was hashed', async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'fake-shop-public-'));
  whenDone(t, () => rm(root, { recursive: true }));
  for (const name of ['changed.css', 'gone.css']) await writeFile(join(root, name), 'old');
  const assets = createAssets(root);
  const urls = ['changed.css', 'gone.css'].map((name) => assets.url(name));
  await writeFile(join(root, 'changed.css'), 'new, and longer');
  await rm(join(root, 'gone.css'));
  await writeFile(join(root, 'late.css'), 'new');

  const app = new Koa<RequestState>().use((ctx) => assets.serve(ctx, ctx.path.slice('/static/'.length)));
  app.silent = true;
  const server = app.listen(0, '127.0.0.1');
  whenDone(t, () => server.close());
  await once(server, 'listening');
  const ask = (url: string, method = 'GET') =>
    fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}${url}`, {
      method,
      headers: { connection: 'close' },
    });
  for (const url of urls) {
    const file = await ask(url);
    assert.equal(await file.text(), 'old', url);
    assert.equal(file.headers.get('content-type'), 'text/css; charset=utf-8');
    assert.equal(file.headers.get('content-length'), '3');
    assert.ok(url.endsWith(`?v=${file.headers.get('etag')?.slice(1, -1)}`), 'the ETag is the version');
    const head = await ask(url, 'HEAD');
    assert.equal(head.headers.get('content-length'), '3');
    assert.equal(await head.text(), '');
  }
  assert.equal((await ask('/static/late.css')).ok, false);
});

test('a text file is compressed once for each encoding, under a version of its own', async (t) => {
  const { origin } = await startShop(t);
  const plain = await raw(origin, '/static/shop.css');
  const tags = new Set([plain.headers.etag]);
  for (const encoding of ['br', 'gzip']) {
    const { headers } = await raw(origin, '/static/shop.css', { 'accept-encoding': encoding });
    assert.equal(headers['content-encoding'], encoding);
    assert.equal(headers.vary, 'Accept-Encoding');
    assert.ok(Number(headers['content-length']) < Number(plain.headers['content-length']) / 2);
    const file = await fetch(`${origin}/static/shop.css`, { headers: { 'accept-encoding': encoding } });
    assert.equal(await file.text(), plain.text);
    const again = { 'accept-encoding': encoding, 'if-none-match': headers.etag ?? '' };
    const unchanged = await raw(origin, '/static/shop.css', again);
    assert.equal(unchanged.status, 304);
    assert.equal(unchanged.headers['content-encoding'], undefined);
    tags.add(headers.etag);
  }
  assert.equal(tags.size, 3);
});
