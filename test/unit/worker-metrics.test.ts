import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  CHECKOUT_PHASES,
  ERROR_TYPES,
  ORDER_OUTCOMES,
  PAYMENT_METHODS,
  PAYMENT_OUTCOMES,
} from '../../src/instrument/label-values.ts';
import { sampleProcess } from '../../src/instrument/process.ts';
import { countError, SHOP_OPERATIONS } from '../../src/instrument/worker-metrics.ts';
import { until, whenDone } from '../support/wait.ts';
import { measuredWorker, PRODUCTS, ROUTES } from '../support/worker-metrics.ts';

test('every series that is known beforehand exists at 0', async () => {
  const scrape = await measuredWorker().scrape();
  const known: Array<[name: string, labels: Record<string, string>]> = [
    ['shop_order_value_brl_total', {}],
    ['shop_visits_without_cookie_total', {}],
    ['http_requests_in_flight', {}],
    ['shop_cpu_usage_ratio', { worker: '1' }],
  ];
  for (const product of PRODUCTS) {
    known.push(['shop_cart_additions_total', { product }], ['shop_cart_units_added_total', { product }]);
    known.push(['shop_product_views_total', { product }], ['shop_units_sold_total', { product }]);
  }
  for (const outcome of ORDER_OUTCOMES) known.push(['shop_orders_total', { outcome }]);
  for (const method of PAYMENT_METHODS) {
    known.push(['shop_payment_duration_seconds_count', { method }]);
    for (const outcome of PAYMENT_OUTCOMES[method]) known.push(['shop_payments_total', { method, outcome }]);
  }
  for (const phase of CHECKOUT_PHASES) known.push(['shop_checkout_phase_duration_seconds_count', { phase }]);
  for (const state of ['active', 'idle', 'pending']) known.push(['shop_db_connections', { state }]);
  for (const { operation, table } of SHOP_OPERATIONS) {
    known.push(['shop_db_operation_duration_seconds_count', { operation, table }]);
  }
  for (const route of [...ROUTES.map(({ route }) => route), 'unmatched']) {
    for (const spent of ['app', 'db', 'db_wait', 'payment']) {
      known.push(['shop_request_time_seconds_total', { route, spent }]);
    }
    for (const type of ERROR_TYPES.filter((type) => type !== 'worker_crash')) {
      known.push(['shop_errors_total', { type, route }]);
    }
  }
  for (const name of ['http_request_duration_seconds', 'http_response_size_bytes']) {
    for (const { method, route, statuses } of ROUTES) {
      for (const status of statuses) {
        known.push([`${name}_count`, { method, route, status_code: String(status) }]);
        known.push([`${name}_bucket`, { method, route, status_code: String(status), le: '+Inf' }]);
      }
    }
  }

  for (const [name, labels] of known) assert.equal(scrape.of(name, labels), 0, `${name}${JSON.stringify(labels)}`);
  assert.equal(scrape.of('shop_db_connections_max'), 3);
});

test('a worker does not count its crash as an error, because the primary does', async () => {
  assert.equal((await measuredWorker().scrape()).has('shop_errors_total', { type: 'worker_crash' }), false);
});

test('an error counts once, by type and route', async () => {
  const worker = measuredWorker();
  const before = await worker.scrape();
  countError(worker.metrics, '/detail/:id', 'not_found');
  const change = (await worker.scrape()).since(before);
  assert.equal(change.of('shop_errors_total'), 1);
  assert.equal(change.of('shop_errors_total', { type: 'not_found', route: '/detail/:id' }), 1);
});

test('quantiles, buckets and units are those of the contract', async () => {
  const { text } = await measuredWorker().scrape();
  const values = (pattern: RegExp) => [...new Set([...text.matchAll(pattern)].map(([, value]) => value))];
  assert.deepEqual(values(/^shop_db_operation_duration_seconds\{.*quantile="([^"]+)"/gm), [
    '0.5',
    '0.9',
    '0.95',
    '0.99',
  ]);
  assert.deepEqual(
    values(/^http_request_duration_seconds_bucket\{.*le="([^"]+)"/gm),
    '0.005 0.01 0.025 0.05 0.075 0.1 0.25 0.5 0.75 1 2.5 5 7.5 10 +Inf'.split(' '),
  );
  for (const [, name, help] of text.matchAll(/^# HELP (\S+) (.*)$/gm)) {
    if (name?.includes('_seconds')) assert.match(help ?? '', /^Seconds /, name);
    if (name?.includes('_bytes')) assert.match(help ?? '', /^Bytes /, name);
  }
});

test("metric names and types follow Prometheus' rules", async () => {
  const { text } = await measuredWorker().scrape();
  // As promtool checks them: https://github.com/prometheus/client_golang/tree/main/prometheus/testutil/promlint
  for (const [, name = '', type] of text.matchAll(/^# TYPE (\S+) (\S+)$/gm)) {
    assert.match(name, /^[a-z][a-z0-9_]*$/);
    assert.equal(name.endsWith('_total'), type === 'counter', name);
    assert.doesNotMatch(
      name,
      /_(counter|gauge|histogram|summary|count|sum|bucket|info|ms|milliseconds|kb|percent)(_|$)/,
    );
    assert.match(text, new RegExp(`^# HELP ${name} \\S+`, 'm'));
  }
});

test("the CPU gauge is near 0 for an idle process, and the system's value for a busy one", async (t) => {
  const worker = measuredWorker();
  const sampler = sampleProcess(worker.metrics.cpuUsage, '1');
  whenDone(t, () => sampler.stop());
  const shown = async () =>
    (await worker.scrapeOnly('shop_cpu_usage_ratio')).of('shop_cpu_usage_ratio', { worker: '1' });
  await until('the gauge shows an idle process', async () => (await shown()) < 0.1);
  const spinning = setInterval(() => {
    const end = performance.now() + 50;
    while (performance.now() < end);
  }, 1);
  whenDone(t, () => clearInterval(spinning));
  const used = lastSecondsUsage();
  // A process that wants a whole core gets less on a busy machine.
  await until('the gauge shows a busy process', async () => {
    const cores = used();
    return cores > 0.2 && Math.abs((await shown()) - cores) < 0.1;
  });
});

/** The returned function tells the cores that this process used in about the last second, as the system counts them. */
function lastSecondsUsage(): () => number {
  const readings = [{ atMs: performance.now(), cpu: process.cpuUsage() }];
  return () => {
    const atMs = performance.now();
    while (readings[1] && atMs - readings[1].atMs >= 1000) readings.shift();
    readings.push({ atMs, cpu: process.cpuUsage() });
    const [from] = readings as [(typeof readings)[0]];
    const { user, system } = process.cpuUsage(from.cpu);
    return (user + system) / 1000 / (performance.now() - from.atMs);
  };
}
