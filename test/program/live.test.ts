import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { countOf, upperBound } from '../../src/ops/live/bins.ts';
import { straightSeries } from '../../src/ops/live/keys.ts';
import type { Course, RouteHistogram } from '../../src/ops/live/model.ts';
import { readResources, startCluster } from '../support/cluster.ts';
import { watchLive } from '../support/live.ts';
import { BACKPACK } from '../support/visitor.ts';
import { until, whenDone } from '../support/wait.ts';

const ADDITIONS = `shop_cart_additions_total{product="${BACKPACK.slug}"}`;
/** A page shows an action of the shop after this long at most. */
const SEEN_WITHIN_MS = 2_000;

function get(url: string, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(url, { headers, signal: AbortSignal.timeout(10_000) });
}

test('the live page shows the numbers of /metrics', async (t) => {
  const shop = await startCluster(t, { workers: 2 });
  const startedAt = Date.parse((await shop.status()).primary.startedAt);
  const shopper = shop.visitor();
  for (const path of ['/', '/shop', '/detail/1', '/detail/999']) await shopper.get(path);
  const viewer = await watchLive(t, shop);

  await t.test('each number that a series has is the one of the same moment', async () => {
    const same = new Set<string>();
    await until('a hundred numbers have kept still between two scrapes', async () => {
      const before = await shop.metrics();
      const frames = viewer.frames();
      await until('the next frame', () => viewer.frames() > frames);
      const { values } = viewer.frame();
      const after = await shop.metrics();
      for (const [key, value] of Object.entries(values)) {
        const series = straightSeries(key);
        // Gauges that may leave a value and come back to it between two scrapes.
        if (!series || /cpu_usage|age_seconds|quantile|shop_metrics_series|connections/.test(key)) continue;
        const [earlier, later] = [before, after].map((page) => page.of(series.metric, series.labels));
        // The program works by itself, too: what moved between the scrapes may be compared in the next round.
        if (!Object.is(earlier, later)) continue;
        assert.equal(value, Number.isNaN(later) ? null : later, key);
        same.add(key);
      }
      return same.size > 100;
    });
  });

  await t.test('a number moves within two seconds of an add in the shop', async () => {
    const frames = viewer.frames();
    await until('the streams flows', () => viewer.frames() > frames);
    const before = viewer.value(ADDITIONS) ?? 0;
    assert.equal((await shopper.post('/add_to_cart/1', { quantity: 2 })).status, 302);
    const since = performance.now();
    const frame = viewer.frame();
    await until('the add is seen', () => viewer.value(ADDITIONS) === before + 1);
    const seenMs = performance.now() - since;
    t.diagnostic(`seen after ${Math.round(seenMs)} ms`);
    // By the primary's clock, so that a busy machine of this test's own process takes no part.
    assert.ok(viewer.frame().at - frame.at <= SEEN_WITHIN_MS, `${viewer.frame().at - frame.at} ms`);
    assert.equal(viewer.value(`increase(${ADDITIONS}[1h])`), before + 1);
    await until('the visitor is counted', () => viewer.value('shop_active_cart_sessions') === 1);
  });

  await t.test('routes, products and their pictures', async () => {
    const { routes, products, workers } = viewer.structure();
    assert.equal(workers, 2);
    assert.ok(routes.includes('/checkout'));
    assert.equal(routes.at(-1), 'unmatched');
    const [backpack] = products;
    assert.deepEqual({ ...backpack, picture: '' }, { slug: BACKPACK.slug, name: BACKPACK.name, picture: '' });
    for (const { picture } of products) {
      const answer = await get(`${shop.opsUrl}${picture}`);
      assert.equal(answer.status, 200, picture);
      assert.equal(answer.headers.get('content-type'), 'image/svg+xml');
    }
    for (const path of ['/products/none.svg', '/products/..%2f..%2fpackage.json', '/products/', '/products/%00.svg']) {
      assert.ok([404, 400].includes((await get(shop.opsUrl + path)).status), path);
    }
  });

  await t.test('errors that are not zero, with the time of the last and their section of the runbook', async () => {
    const key = 'shop_errors_total{route="/detail/:id",type="not_found"}';
    const row = viewer.frame().errors.find((each) => each.key === key);
    assert.ok(row, JSON.stringify(viewer.frame().errors));
    assert.equal(row.runbook, 'bad-input');
    assert.ok(row.lastAt >= startedAt && row.lastAt <= viewer.frame().at);
    assert.equal(viewer.value(key), 1);
    assert.equal(viewer.frame().errors.length, 1);
  });

  await t.test('a course has one value of each number for each point', async () => {
    const course = (await (await get(`${shop.opsUrl}/live/course?span=5m`)).json()) as Course;
    assert.equal(course.span, '5m');
    assert.ok(course.at.length > 3);
    assert.ok(Object.keys(course.values).length > 40);
    for (const [key, values] of Object.entries(course.values)) {
      assert.equal(values.length, course.at.length, key);
      assert.ok(key in viewer.frame().values, `${key} is in the frames too`);
    }
    for (const span of ['1h', '6h']) assert.equal((await get(`${shop.opsUrl}/live/course?span=${span}`)).status, 200);
  });

  await t.test('a course is compressed only for a client that accepts it', async () => {
    for (const [accepts, encoding] of [
      ['gzip, deflate, br', 'gzip'],
      ['identity', undefined],
      ['gzip;q=0', undefined],
      [undefined, undefined],
    ] as const) {
      const headers = accepts === undefined ? {} : { 'accept-encoding': accepts };
      const asked = request(`${shop.opsUrl}/live/course?span=5m`, { headers }).end();
      const [response] = (await once(asked, 'response')) as [IncomingMessage];
      const body = await buffer(response);
      assert.equal(response.headers['content-encoding'], encoding, accepts);
      assert.equal(response.headers.vary, 'Accept-Encoding');
      assert.equal(JSON.parse(String(encoding ? gunzipSync(body) : body)).span, '5m');
    }
  });

  await t.test(
    'a histogram counts the requests of one route in fine bins, and its quantiles are those of the table',
    async () => {
      const answer = await get(`${shop.opsUrl}/live/histogram?route=${encodeURIComponent('/detail/:id')}&span=1h`);
      assert.equal(answer.headers.get('cache-control'), 'no-store');
      const { bins, quantiles, since, until: end } = (await answer.json()) as RouteHistogram;
      assert.equal(countOf(bins), 2);
      for (const [index] of bins) assert.ok(upperBound(index) > 1e-4 && upperBound(index) < 60, `bin ${index}`);
      assert.deepEqual(
        quantiles.map(({ quantile }) => quantile),
        [0.5, 0.95, 0.99],
      );
      // The clocks of Node.js's start and of the system differ by a little.
      assert.ok(since > startedAt - 60_000 && since < startedAt + 1000, 'since the start');
      assert.ok(end > since && end <= viewer.frame().at + 2000);
      for (const quantile of quantiles.slice(0, 2)) {
        const key = `histogram_quantile(${quantile.quantile}, http_request_duration_seconds{route="/detail/:id"}[5m])`;
        assert.equal(viewer.value(key), quantile.seconds, key);
      }
    },
  );

  await t.test('wrong parameters are refused with a sentence', async () => {
    for (const path of [
      '/live/course',
      '/live/course?span=7m',
      '/live/course?span=5m&span=1h',
      '/live/histogram?span=5m',
      '/live/histogram?span=5m&route=/nowhere',
      '/live/histogram?span=x&route=/shop',
    ]) {
      const answer = await get(shop.opsUrl + path);
      assert.equal(answer.status, 400, path);
      assert.match(await answer.text(), /^(span|route) must be .+\.\n$/, path);
    }
    const head = await fetch(`${shop.opsUrl}/live/stream`, { method: 'HEAD', signal: AbortSignal.timeout(10_000) });
    assert.match(head.headers.get('content-type') ?? '', /^text\/event-stream/);
    for (const path of ['/live/stream', '/live/course']) {
      assert.equal((await fetch(shop.opsUrl + path, { method: 'POST' })).status, 405, path);
    }
  });

  await t.test('a killed worker loses no count, and draws a mark', async () => {
    const before = viewer.value(`increase(${ADDITIONS}[1h])`) ?? 0;
    const other = shop.visitor();
    for (let i = 0; i < 10; i++) assert.equal((await other.post('/add_to_cart/1', { quantity: 1 })).status, 302);
    const [{ pid } = { pid: null }] = (await shop.status()).workers;
    assert.ok(pid);
    process.kill(pid, 'SIGKILL');
    await until('the restart is drawn', () =>
      viewer.marks().find(({ kind, what }) => kind === 'restart' && what === '1, signal'),
    );
    await until(
      'the place is filled',
      () => viewer.frame().workers[0]?.restarts === 1 && viewer.frame().workers[0]?.state === 'serving',
    );
    await until('all adds are seen', () => viewer.value(`increase(${ADDITIONS}[1h])`) === before + 10);
    assert.ok(
      (await until('the lamp is lit', () => viewer.frame().lamps.find(({ rule }) => rule === 'machine_killed')))
        .blame === '',
    );
    const course = (await (await get(`${shop.opsUrl}/live/course?span=5m`)).json()) as Course;
    assert.deepEqual(course.marks, viewer.marks());
  });

  await t.test('a reload draws one mark', async () => {
    const before = viewer.marks().length;
    process.kill(shop.pid, 'SIGHUP');
    await until('both places have new workers', () =>
      viewer.frame().workers.every(({ restarts, state }, i) => restarts === (i === 0 ? 2 : 1) && state === 'serving'),
    );
    assert.deepEqual(
      viewer
        .marks()
        .slice(before)
        .map(({ kind, what }) => ({ kind, what })),
      [{ kind: 'reload', what: '' }],
    );
  });
});

test('with a token, no number is shown without it', async (t) => {
  const token = 'scrape-me.please';
  const shop = await startCluster(t, { workers: 1, env: { METRICS_TOKEN: token } });
  for (const path of ['/live/stream', '/live/course?span=5m', '/live/histogram?span=5m&route=/shop']) {
    for (const authorization of ['', 'Bearer wrong']) {
      const refused = await get(shop.opsUrl + path, authorization ? { authorization } : {});
      assert.equal(refused.status, 401, path);
      assert.doesNotMatch(await refused.text(), /shop_/);
    }
  }
  const page = await get(`${shop.opsUrl}/`);
  assert.equal(page.status, 200);
  assert.doesNotMatch(await page.text(), /data-value="\d/);
  const viewer = await watchLive(t, shop, { authorization: `Bearer ${token}` });
  await until('a frame', () => viewer.frames() > 0);
});

test('many viewers are served at once', async (t) => {
  const shop = await startCluster(t, { workers: 1 });
  const first = await watchLive(t, shop);
  const primaryMemory = async () =>
    (await readResources(shop)).find(({ process }) => process === 'primary')?.memoryBytes ?? 0;

  await t.test('one that does not read holds up no other', async () => {
    const { port, hostname } = new URL(shop.opsUrl);
    const lazy = connect(Number(port), hostname);
    whenDone(t, () => lazy.destroy());
    lazy.pause();
    lazy.write('GET /live/stream HTTP/1.1\r\nHost: localhost\r\n\r\n');
    const frames = first.frames();
    await until('another goes on', () => first.frames() > frames + 2);
    lazy.destroy();
  });

  await t.test('500 viewers get each frame, another is refused, and places become free', async () => {
    const before = await primaryMemory();
    const viewers = [];
    for (let i = 0; i < 499; i++) viewers.push(watchLive(t, shop));
    const all = await Promise.all(viewers);
    const refused = await get(`${shop.opsUrl}/live/stream`);
    assert.equal(refused.status, 503);
    assert.match(await refused.text(), /^500 pages are open/);
    const counts = all.map((viewer) => viewer.frames());
    await until('each viewer has two more frames', () =>
      all.every((viewer, i) => viewer.frames() >= (counts[i] as number) + 2),
    );
    const growth = (await primaryMemory()) - before;
    t.diagnostic(`500 viewers take ${Math.round(growth / 1024 / 1024)} MB`);
    assert.ok(growth < 150 * 1024 * 1024, `${growth} bytes`);
    for (const viewer of all) viewer.leave();
    await until('there is room again', async () => {
      const response = await get(`${shop.opsUrl}/live/stream`);
      void response.body?.cancel();
      return response.status === 200;
    });
  });
});

test('open streams end with the shop, which does not wait for them', async (t) => {
  const shop = await startCluster(t, { workers: 1 });
  const viewers = await Promise.all(Array.from({ length: 5 }, () => watchLive(t, shop)));
  const { code } = await shop.stop();
  assert.equal(code, 0);
  await until('all streams have ended', () => viewers.every((viewer) => viewer.ended()));
  assert.match(shop.output(), /stopped: /);
});
