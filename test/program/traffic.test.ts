import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { projectRoot } from '../../src/paths.ts';
import { type RunningCluster, startCluster } from '../support/cluster.ts';
import { startHttpProxy } from '../support/http-proxy.ts';
import { freePort } from '../support/system.ts';
import { until, whenDone } from '../support/wait.ts';

const HOURS = ['--minutes', '600'];
const QUICK = ['--think', '0.05', '--seed', 'test'];

/** Runs `npm run traffic` without npm. */
function startTraffic(t: TestContext, args: readonly string[], env: Record<string, string> = {}) {
  const child = spawn(process.execPath, ['--import', 'tsx', 'traffic/main.ts', ...args], {
    cwd: projectRoot,
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (text) => (stdout += text));
  child.stderr.on('data', (text) => (stderr += text));
  const closed = once(child, 'close') as Promise<[number | null]>;
  whenDone(t, async () => {
    child.kill('SIGKILL');
    await closed;
  });
  return {
    pressCtrlC: () => child.kill('SIGINT'),
    output: () => stdout,
    async ended() {
      const [code] = await closed;
      return { code, stdout, stderr };
    },
  };
}

function addressesOf(shop: RunningCluster): string[] {
  return ['--url', shop.shopUrl, '--metrics-url', shop.opsUrl];
}

/** The lines of the table that have two counts: label, that of the shoppers, that of the metrics, the mark. */
function comparisons(output: string): [label: string, shoppers: number, metrics: number, mark: string][] {
  const lines = output.matchAll(/^ {2}(\S.*?) +(\d[\d.]*) +(\d[\d.]*) (=?)/gm);
  return Array.from(lines, ([, label = '', shoppers, metrics, mark = '']) => [
    label,
    Number(shoppers),
    Number(metrics),
    mark,
  ]);
}

test('what the shoppers did is what the metrics count, in each line', async (t) => {
  const shop = await startCluster(t, { workers: 2 });
  const traffic = startTraffic(t, [...addressesOf(shop), ...QUICK, ...HOURS, '--shoppers', '12']);
  await until('the shoppers have bought, made mistakes and been declined', async () => {
    const scrape = await shop.metrics();
    const atLeast = (count: number, ...selectors: string[]) => selectors.every((each) => scrape.of(each) >= count);
    return (
      atLeast(5, 'shop_orders_total{outcome="paid"}') &&
      atLeast(
        1,
        'shop_orders_total{outcome="declined"}',
        'shop_payments_total{method="pix",outcome="approved"}',
        'shop_errors_total{type="validation"}',
        'shop_errors_total{type="not_found"}',
        'http_request_duration_seconds_count{route="/update_quantity/:item"}',
        'http_request_duration_seconds_count{route="/remove_item/:item"}',
        'http_request_duration_seconds_count{route="/static/*path"}',
      )
    );
  });
  traffic.pressCtrlC();
  const { code, stdout, stderr } = await traffic.ended();
  assert.deepEqual([code, stderr], [0, '']);
  assert.match(stdout, /^12 shoppers in http/);
  assert.match(stdout, /The metrics count exactly what the shoppers did\.\n$/);

  const lines = comparisons(stdout);
  const counts = new Map(lines.map(([label, shoppers]) => [label, shoppers]));
  const gauges = ['online, 5 minutes', 'with a cart, 30 minutes'];
  for (const [label, shoppers, metrics, mark] of lines) {
    if (!gauges.includes(label)) assert.deepEqual([shoppers, mark], [metrics, '='], label);
  }
  const count = (label: string) => counts.get(label) ?? Number.NaN;
  assert.ok(count('product views') > count('additions to a cart'));
  assert.ok(count('additions to a cart') > count('orders paid'));
  assert.ok(count('units added') > count('additions to a cart'));
  assert.ok(count('GET /static/*path') > 12);

  const scrape = await shop.metrics();
  assert.equal(count('orders paid'), scrape.of('shop_orders_total{outcome="paid"}'));
  assert.equal(count('online, 5 minutes'), 12);
  await until('the gauges show the same people', async () => {
    const { of } = await shop.metrics();
    return (
      of('shop_active_sessions') === count('online, 5 minutes') &&
      of('shop_active_cart_sessions') === count('with a cart, 30 minutes')
    );
  });
});

test('a run ends by itself, and tells when others used the shop too', async (t) => {
  const shop = await startCluster(t, { workers: 1 });
  const traffic = startTraffic(t, [...addressesOf(shop), ...QUICK, '--minutes', '0.05', '--shoppers', '2']);
  await until('the shoppers are there', () => traffic.output() !== '');
  assert.equal((await shop.visitor().post('/add_to_cart/1', { quantity: 99 })).status, 302);
  const { code, stdout } = await traffic.ended();
  assert.equal(code, 0);
  assert.match(stdout, /Lines without = differ: other visitors used the shop too/);
  const [, shoppers = 0, metrics] = comparisons(stdout).find(([label]) => label === 'units added') ?? [];
  assert.equal(metrics, shoppers + 99);
});

test('shoppers wait when they have posted too many forms', async (t) => {
  const shop = await startCluster(t, { workers: 1, env: { RATE_LIMIT: '5' } });
  const traffic = startTraffic(t, [...addressesOf(shop), ...QUICK, ...HOURS, '--shoppers', '3']);
  await until('a form is refused', async () => (await shop.metrics()).of('shop_errors_total{type="rate_limited"}') > 0);
  traffic.pressCtrlC();
  const { code, stdout } = await traffic.ended();
  assert.equal(code, 0);
  assert.match(stdout, /The metrics count exactly what the shoppers did\.\n$/);
  const [, refused = 0] = comparisons(stdout).find(([label]) => label === 'too many forms') ?? [];
  assert.ok(refused >= 1 && refused <= 3, stdout);
});

test('shoppers who wait for a Pix leave a shop that refuses its last page', async (t) => {
  const shop = await startCluster(t, { workers: 1 });
  /** Methods of the refused requests. */
  const refused: string[] = [];
  const url = await startHttpProxy(t, shop.shopUrl, (passing, pass) => {
    const { method, path } = passing;
    if (!path.startsWith('/pix/') || (method !== 'POST' && refused.length === 0)) return pass(passing);
    refused.push(method);
    return { status: 503, headers: ['Retry-After', '600'] };
  });
  const addresses = ['--url', url, '--metrics-url', shop.opsUrl];
  const traffic = startTraffic(t, [...addresses, ...QUICK, ...HOURS, '--shoppers', '6']);
  await until('a shopper waits, as the shop refused a Pix', () => refused.includes('POST'));
  const before = refused.length;
  traffic.pressCtrlC();
  const { code, stdout, stderr } = await traffic.ended();
  assert.deepEqual([code, stderr], [0, '']);
  assert.ok(refused.slice(before).includes('GET'), 'the last page was refused too');
  assert.match(stdout, /The metrics count less than the shoppers did/);
});

test('what is wrong is told in one sentence', async (t) => {
  const shop = await startCluster(t, { workers: 1, env: { METRICS_TOKEN: 'secret-of-the-test' } });
  const nowhere = `http://127.0.0.1:${await freePort()}`;
  const page = await listen(t, '<html lang="en">');
  const cases: [string[], RegExp][] = [
    [['--url', 'http://example.com'], /^--url must be an address of this machine/],
    [['--url', nowhere], /^No shop answers at .*: start it in another terminal with npm start/],
    [['--url', shop.shopUrl, '--metrics-url', nowhere], /^No metrics at .*: start the shop/],
    [['--url', shop.shopUrl, '--metrics-url', page], / has no metrics of the shop: --metrics-url must name/],
    [addressesOf(shop), /^The metrics at .* need a token: set METRICS_TOKEN/],
  ];
  for (const [args, sentence] of cases) {
    const { code, stdout, stderr } = await startTraffic(t, args).ended();
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(stderr, sentence);
    assert.equal(stderr.split('\n').length, 2, stderr);
  }
  const args = [...addressesOf(shop), ...QUICK, '--minutes', '0.05'];
  const { code, stdout } = await startTraffic(t, args, { METRICS_TOKEN: 'secret-of-the-test' }).ended();
  assert.equal(code, 0, stdout);
});

/** Starts a server that answers each request with a text. @returns its address */
async function listen(t: TestContext, text: string): Promise<string> {
  const server = createServer((_request, response) => response.end(text)).listen(0, '127.0.0.1');
  whenDone(t, () => server.close());
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
