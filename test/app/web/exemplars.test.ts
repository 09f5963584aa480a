import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type RunningCluster, startCluster } from '../../support/cluster.ts';
import { atCheckout, CUSTOMER, PIX_BUYER } from '../../support/visitor.ts';
import { until } from '../../support/wait.ts';

const DURATION = 'http_request_duration_seconds';
const PHASES = 'shop_checkout_phase_duration_seconds';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const PARENT = '00f067aa0ba902b7';

/** The log's lines of requests by their ids. */
function loggedRequests(shop: RunningCluster): Map<string, { route: string; method: string; status: number }> {
  const lines = shop.output().split('\n').filter(Boolean);
  return new Map(lines.map((line) => JSON.parse(line)).map((line) => [line.requestId, line]));
}

/** The labels of the exemplar of a request's duration. */
async function exemplarOf(shop: RunningCluster, requestId: string): Promise<{ trace_id?: string }> {
  return until('its exemplar is shown', async () => {
    const exemplars = await shop.exemplars(DURATION);
    return exemplars.find(({ labels }) => labels.request_id === requestId)?.labels;
  });
}

test("the exemplars of durations and of a checkout's phases lead to the requests' lines in the log", async (t) => {
  const shop = await startCluster(t, { workers: 2 });
  const { shopper, hidden } = await atCheckout(shop);
  const bought = await shopper.post('/checkout', { ...CUSTOMER, ...hidden });
  assert.equal(bought.status, 302);
  const failed = await shopper.get('/detail/999');
  assert.equal(failed.status, 404);
  // No line at this level of the log, and so no exemplar.
  for (const path of ['/livez', '/static/shop.css']) await shopper.get(path);

  const checkout = bought.headers.get('x-request-id') ?? '';
  await exemplarOf(shop, checkout);
  await exemplarOf(shop, failed.headers.get('x-request-id') ?? '');
  const logged = loggedRequests(shop);
  for (const { labels, sample, value } of await shop.exemplars(DURATION)) {
    const line = logged.get(labels.request_id ?? '');
    assert.deepEqual(
      [line?.method, line?.route, String(line?.status)],
      [sample.method, sample.route, sample.status_code],
    );
    assert.equal(Object.keys(labels).length, 1);
    assert.ok(value <= Number(String(sample.le).replace('+Inf', 'Infinity')));
  }
  const phases = await shop.exemplars(PHASES);
  assert.deepEqual(
    new Set(phases.map(({ sample }) => sample.phase)),
    new Set(['validate', 'reserve', 'payment', 'commit']),
  );
  for (const { labels } of phases) assert.equal(labels.request_id, checkout);

  await until('the page of a paid Pix makes the order', async () => {
    const buyer = await atCheckout(shop);
    const { location } = await buyer.shopper.post('/checkout', { ...PIX_BUYER, ...buyer.hidden });
    await buyer.shopper.post(`${location}/simulation`, { outcome: 'paid' });
    await buyer.shopper.get(location ?? '');
    // If the sweep was faster, the next one is tried.
    return until('the phase leads to the page', () => commitLeadsTo(shop, '/pix/:reference'), 5_000);
  });
});

async function commitLeadsTo(shop: RunningCluster, route: string): Promise<boolean> {
  const commits = (await shop.exemplars(PHASES)).filter(({ sample }) => sample.phase === 'commit');
  return commits.some(({ labels }) => loggedRequests(shop).get(labels.request_id ?? '')?.route === route);
}

test('the trace of a request is on its exemplar if its traceparent is right', async (t) => {
  const shop = await startCluster(t, { workers: 1 });
  const traceparents: [traceparent: string, taken: string | undefined][] = [
    [`00-${TRACE}-${PARENT}-01`, TRACE],
    [`cc-${TRACE}-${PARENT}-00-what-a-later-version-adds`, TRACE],
    [TRACE, undefined],
    [`ff-${TRACE}-${PARENT}-01`, undefined],
    [`00-${TRACE}-${PARENT}-01-more`, undefined],
    [`00-${TRACE}-${PARENT}`, undefined],
    [`00-${TRACE.toUpperCase()}-${PARENT}-01`, undefined],
    [`00-${'0'.repeat(32)}-${PARENT}-01`, undefined],
    [`00-${TRACE}-${'0'.repeat(16)}-01`, undefined],
    [`00-${TRACE.slice(1)}-${PARENT}-01`, undefined],
    [`00-${TRACE}-${PARENT}-01, 00-${TRACE}-${PARENT}-01`, undefined],
    [`"} 1 # {trace_id="${TRACE}`, undefined],
    // A card's number.
    [`00-4242424242424242${'a'.repeat(16)}-${PARENT}-01`, undefined],
  ];
  // Each counts in another series, so that no exemplar takes the place of another.
  const paths = ['/', '/shop', '/contact', '/cart', '/checkout', '/detail/1', '/detail/999', '/nothing'];
  paths.push('/order_confirmation/x', '/pix/x', '/pix/x/state', '/robots.txt', '/sitemap.xml');
  const asked = await Promise.all(
    traceparents.map(async ([traceparent, taken], i) => {
      const page = await shop.visitor().get(paths[i] as string, { traceparent });
      return { traceparent, taken, id: page.headers.get('x-request-id') ?? '' };
    }),
  );
  for (const { traceparent, taken, id } of asked) {
    assert.equal((await exemplarOf(shop, id)).trace_id, taken, traceparent);
  }
});

test('without a log of requests, no exemplar leads to one', async (t) => {
  const shop = await startCluster(t, { workers: 1, env: { LOG_LEVEL: 'warn' } });
  const { shopper, hidden } = await atCheckout(shop);
  assert.equal((await shopper.post('/checkout', { ...CUSTOMER, ...hidden })).status, 302);
  // A worker's exemplars come with its heartbeat: wait for one that is younger than the answer.
  const answeredMs = Date.now();
  await until('a heartbeat', async () => {
    const age = (await shop.metrics()).of('shop_metrics_worker_age_seconds', { worker: 1 });
    return Date.now() - 1000 * age > answeredMs;
  });
  assert.deepEqual(await shop.exemplars(DURATION), []);
  assert.deepEqual(await shop.exemplars(PHASES), []);
});
