import assert from 'node:assert/strict';
import { networkInterfaces } from 'node:os';
import { test } from 'node:test';
import { parseExposition } from '@techcommerce/cluster-metrics/testing';
import { type Chance, createChance } from '../../traffic/chance.ts';
import { createCourtesy } from '../../traffic/courtesy.ts';
import { readRoutes } from '../../traffic/metrics.ts';
import { readOptions } from '../../traffic/options.ts';
import { readPage } from '../../traffic/page.ts';
import { createPopularity } from '../../traffic/popularity.ts';

const PAGE = new URL('http://127.0.0.1:5000/shop?q=bolsa');

test('one seed makes the same decisions, another one makes others', () => {
  const decisions = (seed: string) => {
    const chance = createChance(seed);
    return Array.from({ length: 50 }, () => chance.between(1, 1000));
  };
  assert.deepEqual(decisions('a'), decisions('a'));
  assert.notDeepEqual(decisions('a'), decisions('b'));
});

test('decisions have their probabilities, and looks at a page their mean', () => {
  const chance = createChance('probabilities');
  const draws = Array.from({ length: 20_000 }, () => chance);
  const shareOf = (decide: (chance: Chance) => boolean) => draws.filter(decide).length / draws.length;
  assertNear(
    shareOf((chance) => chance.happens(0.3)),
    0.3,
  );
  assertNear(
    shareOf((chance) => chance.between(1, 4) === 4),
    0.25,
  );
  assertNear(
    shareOf((chance) => chance.pickBy(['rare', 'usual'], (item) => (item === 'rare' ? 1 : 4)) === 'rare'),
    0.2,
  );
  const seconds = draws.map((chance) => chance.duration(6));
  assertNear(seconds.reduce((sum, each) => sum + each, 0) / seconds.length, 6);
  assert.ok(Math.min(...seconds) > 0 && Math.max(...seconds) <= 36);
});

function assertNear(value: number, expected: number): void {
  assert.ok(Math.abs(value / expected - 1) < 0.05, `${value} instead of ${expected}`);
}

test('a few products are popular, and all are sold', () => {
  const products = Array.from({ length: 24 }, (_, i) => `/detail/${i + 1}`);
  for (const seed of ['1', '2', '3']) {
    const popularity = createPopularity(seed);
    const chance = createChance(seed);
    const sales = new Map(products.map((product) => [product, 0]));
    for (let i = 0; i < 10_000; i++) {
      const product = chance.pickBy(products, popularity.of);
      sales.set(product, (sales.get(product) ?? 0) + 1);
    }
    const sorted = [...sales.values()].sort((a, b) => b - a);
    const topFive = sorted.slice(0, 5).reduce((sum, sold) => sum + sold, 0);
    assert.ok(topFive > 4_000 && topFive < 8_000, `seed ${seed}: ${sorted}`);
    assert.ok((sorted.at(-1) ?? 0) > 50, `seed ${seed}: ${sorted}`);
  }
});

test('after a 429 no shopper posts until its time is over; after a 503 the shopper alone waits', async () => {
  const waits: number[] = [];
  const courtesy = createCourtesy(createChance('courtesy'), async (ms) => {
    waits.push(ms);
    throw new Error('waits');
  });
  await courtesy.turnToPost();
  assert.deepEqual(waits, []);

  await assert.rejects(courtesy.refused(503, 2), /waits/);
  assert.ok((waits.pop() ?? 0) >= 2_000);
  await courtesy.turnToPost();

  await courtesy.refused(429, 600);
  await assert.rejects(courtesy.turnToPost(), /waits/);
  assert.ok((waits.pop() ?? 0) > 590_000);
});

test('a page is read: links, fields of forms, files', () => {
  const { links, forms, files } = readPage(
    `<link rel="stylesheet" href="/static/shop.css?v=1"><script src="/static/shop.js" defer></script>
    <script type="application/ld+json">{"url":"<a href='/no'>"}</script><!-- <a href="/no">no</a> -->
    <a href="/detail/1"><img src="/static/1.svg" alt="Bolsa &amp; mala"></a>
    <a href="#conteudo">Ir para o conteúdo</a> <a href="https://example.com/">elsewhere</a> <a href="?q=bolsa&amp;page=2">2</a>
    <form action="/checkout" method="post">
      <input type="hidden" name="cart" value="a&quot;b"><input type="number" name="quantity" value="2" max="5" required>
      <select name="state"><option value="">Selecione</option><option value="SP" selected>São Paulo</option></select>
      <label><input type="radio" name="way" value="card" checked></label><input type="radio" name="way" value="pix">
      <button type="submit">Comprar</button>
    </form>`,
    PAGE,
  );
  assert.deepEqual(links, [
    { path: '/detail/1', text: 'Bolsa & mala' },
    { path: '/shop?q=bolsa&page=2', text: '2' },
  ]);
  assert.deepEqual(files, ['/static/shop.js', '/static/shop.css?v=1', '/static/1.svg']);
  const [form] = forms;
  assert.deepEqual([forms.length, form?.method, form?.path], [1, 'POST', '/checkout']);
  assert.deepEqual(
    form?.fields.map(({ name, value, isSent, max }) => [name, value, isSent, max]),
    [
      ['cart', 'a"b', true, undefined],
      ['quantity', '2', true, 5],
      ['state', 'SP', true, undefined],
      ['way', 'card', true, undefined],
      ['way', 'pix', false, undefined],
    ],
  );
});

test('routes are named as the metrics name them', () => {
  const routes = ['GET /', 'GET /shop', 'GET /detail/:id', 'POST /checkout', 'GET /static/*path', 'GET unmatched'];
  const lines = routes.map((each) => {
    const [method, route] = each.split(' ');
    return `http_request_duration_seconds_count{method="${method}",route="${route}"} 0\n`;
  });
  const routeOf = readRoutes(parseExposition(lines.join('')));
  assert.equal(routeOf('GET', '/?a=1'), '/');
  assert.equal(routeOf('GET', '/detail/12'), '/detail/:id');
  assert.equal(routeOf('GET', '/detail/12/more'), 'unmatched');
  assert.equal(routeOf('GET', '/static/products/1.svg?v=2'), '/static/*path');
  assert.equal(routeOf('POST', '/checkout'), '/checkout');
  assert.equal(routeOf('POST', '/shop'), 'unmatched');
});

test('only addresses of this machine are taken', () => {
  const own = Object.values(networkInterfaces()).flatMap((list) => list?.find(({ family }) => family === 'IPv4') ?? []);
  for (const host of ['127.0.0.1', '127.8.9.10', '[::1]', 'localhost', ...own.map(({ address }) => address)]) {
    const options = readOptions(['--url', `http://${host}:5000`]);
    assert.ok(options !== 'help' && options.url.port === '5000', host);
  }
  for (const host of ['example.com', '192.0.2.1', '[2001:db8::1]', 'localhost.example.com', '127.0.0.1.example.com']) {
    for (const option of ['--url', '--metrics-url']) {
      assert.throws(() => readOptions([option, `http://${host}`]), {
        name: 'StartError',
        message: /must be an address of this machine/,
      });
    }
  }
});

test('a wrong option is refused in one sentence', () => {
  const refusals: [string[], RegExp][] = [
    [['--shoppers', '0'], /^--shoppers must be a number from 1 to 1000, and is 0\.$/],
    [['--shoppers', '2.5'], /^--shoppers must be a whole number, and is 2\.5\.$/],
    [['--minutes', 'many'], /^--minutes must be a number from 0\.05 to 1440, and is many\.$/],
    [['--think', ''], /^--think must be a number from 0 to 60, and is empty\.$/],
    [['--url', 'https://127.0.0.1'], /^--url must be an address such as http:\/\/127\.0\.0\.1:5000, and is https:/],
    [['--shopers', '3'], /^Unknown option '--shopers': npm run traffic -- --help lists the options\.$/],
    [['3'], /^Unexpected argument '3'.*: npm run traffic -- --help lists the options\.$/],
    [['--seed'], /^Option '--seed <value>' argument missing: npm run traffic/],
  ];
  for (const [args, message] of refusals) assert.throws(() => readOptions(args), { name: 'StartError', message });
  assert.equal(readOptions(['--help']), 'help');
});
