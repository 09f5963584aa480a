import assert from 'node:assert/strict';
import { Agent } from 'node:http';
import { test } from 'node:test';
import fc from 'fast-check';
import { hostileRequest, send } from '../support/hostile-request.ts';
import { startShop } from '../support/shop.ts';
import { whenDone } from '../support/wait.ts';

/** The long suite sends 100,000. */
const RUNS = 2_000;

test('no generated request ends in a 5xx', async (t) => {
  const shop = await startShop(t);
  const agent = new Agent({ keepAlive: true, maxSockets: 4 });
  whenDone(t, () => agent.destroy());

  await fc.assert(
    fc.asyncProperty(hostileRequest, async (request) => {
      const status = await send(shop.origin, agent, request);
      assert.ok(status >= 200 && status < 500, String(status));
    }),
    { numRuns: RUNS },
  );

  assert.equal((await shop.visitor().get('/')).status, 200);
  for (const type of ['internal', 'database'])
    assert.equal((await shop.metrics()).of('shop_errors_total', { type }), 0);
});
