import assert from 'node:assert/strict';
import { Agent } from 'node:http';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { PAYMENT_OUTCOMES } from '../../src/instrument/label-values.ts';
import { shopRoutes } from '../../src/web/index.ts';
import { startCluster } from '../support/cluster.ts';
import { type HostileRequest, hostileRequest, send } from '../support/hostile.ts';
import { startShop } from '../support/shop.ts';
import { whenDone } from '../support/wait.ts';

/** By hand: `FUZZ_REQUESTS=100000`. */
const RUNS = Number(process.env.FUZZ_REQUESTS ?? 4_000);
const SHRINKING_RUNS = 2_000;
const CLIENTS = 16;
/** Requests that are generated at a time. */
const BATCH = 2_000;
/** A busy machine may be too slow for a page once, but not for each attempt of a request. */
const ATTEMPTS = 4;
/** Answers that a busy machine may refuse: one stall may refuse one request of each client. */
const MAX_REFUSED = Math.max(2 * CLIENTS, RUNS / 1000);

test(`${RUNS} generated requests cause no 500, hardly a 503, no crash and no new series`, async (t) => {
  const shop = await startCluster(t, { workers: 2 });
  const { workers } = await shop.status();
  const seed = Number(process.env.FUZZ_SEED ?? Date.now() % 2 ** 31);
  t.diagnostic(`FUZZ_SEED=${seed} sends the same again`);
  const agent = startAgent(t, CLIENTS);
  const statuses = new Map<number, number>();

  async function sendOne(request: HostileRequest): Promise<void> {
    let status = 0;
    for (let attempt = 0; attempt < ATTEMPTS && (status === 0 || status === 503); attempt++) {
      status = await send(shop.shopUrl, request, agent);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
    assert.ok(status >= 200 && status < 500, `${status} for ${JSON.stringify(request)}`);
  }

  const startedMs = performance.now();
  for (let sent = 0; sent < RUNS; sent += BATCH) {
    const requests = fc.sample(hostileRequest, { seed: seed + sent, numRuns: BATCH });
    const client = async () => {
      for (let next = requests.pop(); next; next = requests.pop()) await sendOne(next);
    };
    await Promise.all(Array.from({ length: CLIENTS }, client));
  }
  const seconds = (performance.now() - startedMs) / 1000;
  t.diagnostic(`${RUNS} requests in ${Math.round(seconds)} s: ${JSON.stringify([...statuses].sort())}`);

  assert.deepEqual((await shop.status()).workers, workers);
  assert.equal((await shop.visitor().get('/')).status, 200);
  const metrics = await shop.metrics();
  const errors = (type: string) => metrics.of('shop_errors_total', { type });
  for (const type of ['internal', 'worker_crash']) assert.equal(errors(type), 0, type);
  const refused = Math.max(statuses.get(503) ?? 0, errors('overload') + errors('database'));
  t.diagnostic(`${refused} were refused for want of time`);
  assert.ok(refused <= MAX_REFUSED, `${refused} were refused`);
  assert.equal(metrics.of('shop_worker_restarts_total'), 0);

  // Every label value is one that the code knows.
  const known: Record<string, ReadonlySet<string>> = {
    route: new Set([...shopRoutes.map(({ route }) => route), 'unmatched', 'none']),
    method: new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'POST', ...Object.keys(PAYMENT_OUTCOMES)]),
    status_code: new Set([...statuses.keys(), ...shopRoutes.flatMap((route) => route.statuses)].map(String)),
  };
  for (const { name, labels } of metrics.samples) {
    for (const [label, values] of Object.entries(known)) {
      const value = labels[label];
      assert.ok(value === undefined || values.has(value), `${name} has ${label}=${value}`);
    }
  }
});

/** One worker in this process, and fast-check's shortest example of a request that fails. */
test('no generated request ends in a 5xx in one worker', async (t) => {
  const shop = await startShop(t);
  const agent = startAgent(t, 4);

  await fc.assert(
    fc.asyncProperty(hostileRequest, async (request) => {
      const status = await send(shop.origin, request, agent);
      assert.ok(status >= 200 && status < 500, String(status));
    }),
    { numRuns: SHRINKING_RUNS },
  );

  assert.equal((await shop.visitor().get('/')).status, 200);
  for (const type of ['internal', 'database'])
    assert.equal((await shop.metrics()).of('shop_errors_total', { type }), 0);
});

function startAgent(t: TestContext, maxSockets: number): Agent {
  const agent = new Agent({ keepAlive: true, maxSockets });
  whenDone(t, () => agent.destroy());
  return agent;
}
