import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  BOOK_NAMES,
  BOOKS,
  bookThresholds,
  closeBooks,
  counterOf,
  entriesOfRequest,
  errorOf,
  growth,
  isUnsure,
  OTHERS,
  readCounts,
} from '../../k6/lib/books.ts';
import { pickBy, popularity, thinkTime } from '../../k6/lib/chance.ts';
import * as pages from '../../k6/lib/pages.ts';
import { optionsFor, PROFILES, STATISTICS, smokeOptions, timesOf } from '../../k6/lib/profiles.ts';
import { createReport, formatReport, type SummaryData } from '../../k6/lib/report.ts';
import { readSettings } from '../../k6/lib/settings.ts';
import { ERROR_TYPES, ORDER_OUTCOMES, PAYMENT_OUTCOMES } from '../../src/instrument/label-values.ts';
import { projectRoot } from '../../src/paths.ts';
import { shopRoutes } from '../../src/web/routes.ts';

const DEFAULTS = { duration: '5m', rate: 5 };
const PRODUCTS = { 'mochila-urbana': 1, 'fone-sem-fio-aura': 2 };

const settings = readSettings({ SHOP_DURATION: '10s', SHOP_RATE: '2' }, DEFAULTS);

test('each script of k6 exports what k6 runs, and no option of its own begins with K6_', () => {
  const scripts = readdirSync(join(projectRoot, 'k6')).filter((name) => name.endsWith('.ts'));
  assert.deepEqual(scripts.sort(), ['checkout.ts', 'load.ts', 'smoke.ts', 'soak.ts', 'spike.ts', 'stress.ts']);
  for (const name of scripts) {
    const source = readFileSync(join(projectRoot, 'k6', name), 'utf8');
    assert.match(source, /^export const options: Options = /m, name);
    assert.match(source, /^export \{ handleSummary, run as default, setup, teardown \};$/m, name);
  }
  const libraries = readdirSync(join(projectRoot, 'k6/lib')).map((name) =>
    readFileSync(join(projectRoot, 'k6/lib', name), 'utf8'),
  );
  assert.doesNotMatch(libraries.join(''), /env\.K6_/);
});

test('settings have defaults, and every mistake is named at once', () => {
  assert.deepEqual(readSettings({}, DEFAULTS), {
    baseUrl: 'http://127.0.0.1:5000',
    metricsUrls: ['http://127.0.0.1:5000/metrics'],
    metricsToken: undefined,
    durationSeconds: 300,
    rate: 5,
    thinkSeconds: 1,
    account: true,
    summaryFile: 'k6-summary.json',
  });
  const env = {
    BASE_URL: 'https://shop.example/',
    SHOP_METRICS_URL: 'http://10.0.0.1:9464/metrics, http://10.0.0.2:9464/metrics',
    SHOP_METRICS_TOKEN: 'secret',
    SHOP_DURATION: '1h30m',
    SHOP_RATE: '0.5',
    SHOP_THINK: '0',
    ACCOUNT: 'false',
    SHOP_SUMMARY: '',
  };
  assert.deepEqual(readSettings(env, DEFAULTS), {
    baseUrl: 'https://shop.example',
    metricsUrls: ['http://10.0.0.1:9464/metrics', 'http://10.0.0.2:9464/metrics'],
    metricsToken: 'secret',
    durationSeconds: 5400,
    rate: 0.5,
    thinkSeconds: 0,
    account: false,
    summaryFile: '',
  });
  const wrong = { BASE_URL: '127.0.0.1:5000', SHOP_DURATION: '10', SHOP_RATE: 'many', SHOP_THINK: '-1', ACCOUNT: 'no' };
  assert.throws(
    () => readSettings(wrong, DEFAULTS),
    ({ message }: Error) => Object.keys(wrong).every((name) => message.includes(`${name} must be`)),
  );
});

test('the stages of a script fill its duration, and reach its rate', () => {
  for (const [name, profile] of Object.entries(PROFILES)) {
    const { shoppers } = optionsFor(profile, settings).scenarios;
    const total = shoppers.stages.reduce((sum, { duration }) => sum + Number.parseInt(duration, 10), 0);
    assert.ok(Math.abs(total - 10_000) < 10, `${name}: ${total} ms`);
    assert.equal(Math.max(...shoppers.stages.map(({ target }) => target)), 120, name);
    assert.ok(shoppers.preAllocatedVUs <= shoppers.maxVUs, name);
  }
});

test('the service levels of the operations guide are the thresholds of each page', () => {
  const guide = readFileSync(join(projectRoot, 'docs/operations.md'), 'utf8');
  assert.match(guide, /^\| answered without a 5xx \| 99\.9 % \|/m);
  assert.match(guide, /^\| answered within 0\.25 s, .* \| 99 % \|/m);
  assert.match(guide, /`ShopCheckoutSlow` watches it with a limit of 1 s/);
  for (const profile of [PROFILES.load, PROFILES.soak, PROFILES.checkout]) {
    const { thresholds } = optionsFor(profile, settings) as { thresholds: Record<string, string[]> };
    assert.deepEqual(thresholds.unexpected, ['rate<0.001']);
    for (const request of pages.REQUESTS) {
      const level = request === 'POST /checkout' ? 'p(99)<1000' : 'p(99)<250';
      assert.deepEqual(thresholds[timesOf(request)], [level], request);
    }
  }
});

test('k6 reads every name of a threshold as a metric and its tags', () => {
  const names = [smokeOptions(settings), optionsFor(PROFILES.stress, settings)].flatMap(({ thresholds }) =>
    Object.keys(thresholds),
  );
  assert.ok(names.length > 500);
  // As `ParseMetricName` does: a comma ends a tag, and its first colon the tag's name.
  for (const name of names) assert.match(name, /^[a-z_]+(\{[a-z_]+:[^{},]+(,[a-z_]+:[^{},]+)*\})?$/);
});

test("without books, k6 keeps none of the books' sums", () => {
  const { thresholds } = optionsFor(PROFILES.load, { ...settings, account: false });
  assert.deepEqual(
    Object.keys(thresholds).filter((name) => name.startsWith('books_')),
    [],
  );
});

test("the books know the shop's routes, outcomes and types of errors", () => {
  const known = shopRoutes.flatMap(({ method, route, statuses }) =>
    statuses.map((status) => `${method} ${route} ${status}`),
  );
  const templates = new Set(shopRoutes.map(({ method, route }) => `${method} ${route}`));
  for (const request of pages.REQUESTS) assert.ok(templates.has(request), request);
  // Every status that the shop knows for a page of the journeys, but for refused forms that no script sends.
  const missing = known.filter(
    (entry) =>
      pages.REQUESTS.some((request) => entry.startsWith(`${request} `)) &&
      !/ (304|400|403|413|415)$/.test(entry) &&
      !(BOOKS.requests.entries as readonly string[]).includes(entry),
  );
  assert.deepEqual(missing, ['GET /shop 422']);
  assert.deepEqual(BOOKS.orders.entries, ORDER_OUTCOMES);
  for (const [method, outcomes] of Object.entries(PAYMENT_OUTCOMES)) {
    for (const outcome of outcomes) assert.ok(BOOKS.payments.entries.includes(`${method} ${outcome}`), outcome);
  }
  const types = ERROR_TYPES.map((type) => BOOKS.errors.entryOf({ type }));
  assert.deepEqual(
    types.filter((type) => !BOOKS.errors.entries.includes(type as string)),
    [],
  );
});

test('an answer is the error that its status says', () => {
  assert.deepEqual([200, 302, 400, 403, 404, 409, 422, 429, 500, 503].map(errorOf), [
    undefined,
    undefined,
    'validation',
    'forbidden',
    'not_found',
    'conflict',
    'validation',
    'rate_limited',
    'internal',
    'not_now',
  ]);
});

test('a request without an answer may be counted under each of its statuses, and under none that is listed', () => {
  assert.deepEqual(entriesOfRequest('GET /cart'), [
    'GET /cart 200',
    'GET /cart 302',
    'GET /cart 404',
    'GET /cart 500',
    'GET /cart 503',
    OTHERS,
  ]);
  assert.deepEqual([0, 200, 302, 409, 422, 500, 503].filter(isUnsure), [0, 500, 503]);
});

const METRICS = `# HELP shop_cart_additions_total Successful add-to-cart actions
# TYPE shop_cart_additions_total counter
shop_cart_additions_total{product="mochila-urbana"} 3
shop_cart_additions_total{product="new-since-setup"} 2
shop_orders_total{outcome="paid"} 4
shop_payments_total{method="pix",outcome="approved"} 4
shop_errors_total{type="database",route="/cart"} 1
shop_errors_total{type="overload",route="/cart"} 2
shop_errors_total{type="overload",route="/metrics"} 7
http_request_duration_seconds_count{method="GET",route="/cart",status_code="200"} 5
http_request_duration_seconds_count{method="GET",route="/metrics",status_code="200"} 9
http_request_duration_seconds_count{method="HEAD",route="/cart",status_code="200"} 1
http_request_duration_seconds_sum{method="GET",route="/cart",status_code="200"} 0.5
`;

test('the books are read from the metrics of each instance, without scrapes and health checks', () => {
  assert.deepEqual(readCounts([METRICS, METRICS], PRODUCTS), {
    additions: { 1: 6, [OTHERS]: 4 },
    orders: { paid: 8 },
    payments: { 'pix approved': 8 },
    errors: { not_now: 6 },
    requests: { 'GET /cart 200': 10, [OTHERS]: 2 },
  });
  assert.throws(() => readCounts([METRICS, '<html>'], PRODUCTS), /holds none of the shop's/);
});

test('the growth of the metrics is what lies between two scrapes; a fall tells of a new start', () => {
  const before = readCounts([METRICS], PRODUCTS);
  const after = readCounts([METRICS.replace('"mochila-urbana"} 3', '"mochila-urbana"} 5')], PRODUCTS);
  const grown = growth(before, after).filter(({ value }) => value > 0);
  assert.deepEqual(grown, [{ book: 'additions', entry: '1', value: 2 }]);
  assert.throws(() => growth(after, before), /started anew/);
});

/** The sums that k6 would hold when its shoppers and `teardown` have added these. */
function sums(entries: { name: string; least: number; most: number; shop: number }[]): Record<string, number> {
  return Object.fromEntries(
    entries.flatMap(({ name, least, most, shop }) => [
      [`${name},side:least}`, least - shop],
      [`${name},side:most}`, most - shop],
      [`${name},side:shop}`, shop],
    ]),
  );
}

test('an entry balances where the metrics lie between what is sure and what may be', () => {
  const cases = sums([
    { name: 'books_orders{entry:paid', least: 3, most: 3, shop: 3 },
    { name: 'books_orders{entry:failed', least: 0, most: 2, shop: 1 },
    { name: 'books_orders{entry:declined', least: 1, most: 1, shop: 2 },
    { name: 'books_errors{entry:conflict', least: 2, most: 2, shop: 1 },
  ]);
  assert.deepEqual(
    closeBooks((sum) => cases[sum]),
    [
      { book: 'orders', entry: 'paid', least: 3, most: 3, shop: 3, isBalanced: true },
      { book: 'orders', entry: 'declined', least: 1, most: 1, shop: 2, isBalanced: false },
      { book: 'orders', entry: 'failed', least: 0, most: 2, shop: 1, isBalanced: true },
      { book: 'errors', entry: 'conflict', least: 2, most: 2, shop: 1, isBalanced: false },
    ],
  );
  // k6's own verdict is the same.
  const isCrossed = (sum: string) =>
    (bookThresholds()[sum] ?? []).some((limit) =>
      limit === 'count<=0' ? (cases[sum] ?? 0) > 0 : (cases[sum] ?? 0) < 0,
    );
  assert.deepEqual(Object.keys(cases).filter(isCrossed), [
    'books_orders{entry:declined,side:most}',
    'books_errors{entry:conflict,side:least}',
  ]);
});

const request = 'GET /cart';
function summaryOf(shop: number): SummaryData {
  const counted = {
    ...sums([
      { name: 'books_additions{entry:1', least: 2, most: 2, shop },
      { name: 'books_requests{entry:GET /cart 200', least: 5, most: 5, shop: 5 },
    ]),
    iterations: 4,
    http_reqs: 40,
  };
  const isEqual = shop === 2;
  return {
    state: { testRunDurationMs: 20_000 },
    setup_data: { products: PRODUCTS },
    metrics: {
      ...Object.fromEntries(Object.entries(counted).map(([name, count]) => [name, { values: { count } }])),
      'books_additions{entry:1,side:most}': {
        values: { count: 2 - shop },
        thresholds: { 'count>=0': { ok: isEqual } },
      },
      unexpected: { values: { rate: 0 } },
      checks: { values: { fails: 0 } },
      [timesOf(request)]: {
        values: { count: 5, med: 10, 'p(95)': 20, 'p(99)': 30.25, max: 31 },
        thresholds: { 'p(99)<250': { ok: true } },
      },
    },
  };
}

test('a run whose books balance passes, with a line for each page', () => {
  const report = createReport('load', summaryOf(2), true);
  assert.equal(report.passed, true);
  const text = formatReport(report);
  assert.match(text, /^load: passed$/m);
  assert.match(text, /^ +GET \/cart +5 +10\.0 +20\.0 +30\.3 +31\.0 +p\(99\)<250$/m);
  assert.match(text, /^The books balance$/m);
  assert.match(text, /^ +mochila-urbana +2 +2 +=$/m);
});

test('a run whose books do not balance fails and prints both columns', () => {
  const report = createReport('load', summaryOf(3), true);
  assert.equal(report.passed, false);
  const text = formatReport(report);
  assert.match(text, /^load: FAILED$/m);
  assert.match(text, /^THE BOOKS DO NOT BALANCE$/m);
  assert.match(text, /^ +mochila-urbana +2 +3 +DIFFERS$/m);
  assert.match(text, /did anyone else use the shop, or did a worker crash\?/);
});

test('a run that compared nothing does not pass; one without books says nothing of them', () => {
  const { metrics, state } = summaryOf(2);
  const rest = Object.fromEntries(Object.entries(metrics).filter(([name]) => !name.startsWith('books_')));
  const empty = createReport('load', { metrics: rest, state }, true);
  assert.equal(empty.passed, false);
  assert.match(formatReport(empty), /^The books were not compared$/m);
  const without = createReport('load', { metrics: rest, state }, false);
  assert.equal(without.passed, true);
  assert.doesNotMatch(formatReport(without), /books/i);
});

test('the summary reads the statistics that k6 is asked for', () => {
  assert.deepEqual(STATISTICS, ['count', 'med', 'p(95)', 'p(99)', 'max']);
  assert.deepEqual(optionsFor(PROFILES.load, settings).summaryTrendStats, STATISTICS);
  assert.deepEqual(BOOK_NAMES.map(counterOf), [
    'books_additions',
    'books_orders',
    'books_payments',
    'books_errors',
    'books_requests',
  ]);
});

test('a page tells its products, its lists, its fields and its slug', () => {
  const html = `<a href="/detail/7">A</a><a href="/detail/7">A</a><a href="/detail/12">B</a>
    <form action="/add_to_cart/7" method="post"><input type="hidden" name="quantity" value="1"></form>
    <form action="/update_quantity/31" method="post"></form>
    <a href="/shop?category=audio">Áudio</a><a href="/shop?sort=new&amp;page=2">2</a>
    <input type="hidden" name="cart" value="6f0c"><input type="hidden" name="total_cents" value="24990">
    <script type="application/ld+json">{"sku":"mochila-urbana"}</script><span class="stock stock--ok">Em estoque</span>`;
  assert.deepEqual(pages.productsOn(html), [7, 12]);
  assert.deepEqual(pages.buyableOn(html), [7]);
  assert.deepEqual(pages.itemsOn(html), [31]);
  assert.deepEqual(pages.categoriesOn(html), ['/shop?category=audio']);
  assert.deepEqual(pages.listPagesOn(html), ['/shop?sort=new&page=2']);
  assert.equal(pages.inputOf(html, 'cart'), '6f0c');
  assert.equal(pages.inputOf(html, 'total_cents'), '24990');
  assert.equal(pages.inputOf(html, 'email'), '');
  assert.equal(pages.slugOn(html), 'mochila-urbana');
  assert.ok(pages.isPlenty(html));
});

test('an address has the route that the metrics give it', () => {
  const cases: [pages.Method, string, string][] = [
    ['GET', '/', '/'],
    ['GET', '/shop?q=mesa', '/shop'],
    ['GET', '/detail/7', '/detail/:id'],
    ['POST', '/checkout', '/checkout'],
    ['POST', '/pix/pay_1/simulation', '/pix/:reference/simulation'],
    ['GET', '/promocoes', pages.UNMATCHED],
    ['GET', '/add_to_cart/7', pages.UNMATCHED],
  ];
  for (const [method, path, route] of cases) assert.equal(pages.routeOf(method, path), route, path);
  assert.equal(pages.pathOf('https://shop.example/detail/7#produto'), '/detail/7');
});

test('few products are wanted by many, and looks at a page have their mean', () => {
  let state = 1;
  /** Park and Miller. */
  const random = () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
  const ids = Array.from({ length: 24 }, (_, index) => index + 1);
  const draws = Array.from({ length: 20_000 }, () => pickBy(ids, popularity, random));
  const shares = ids.map((id) => draws.filter((each) => each === id).length / draws.length).sort((a, b) => b - a);
  assert.ok((shares[0] ?? 0) > 5 * (shares[12] ?? 1), String(shares));
  assert.ok((shares[23] ?? 0) > 0, 'every product is wanted by some');
  assert.equal(pickBy([], popularity, random), undefined);

  const times = Array.from({ length: 20_000 }, () => thinkTime(2, random));
  const mean = times.reduce((sum, each) => sum + each, 0) / times.length;
  assert.ok(Math.abs(mean - 2) < 0.1, String(mean));
  assert.ok(Math.max(...times) <= 8);
});
