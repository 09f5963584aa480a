import assert from 'node:assert/strict';
import { test } from 'node:test';
import { proveSeriesAreBounded } from '../program/laws/boundedness.ts';
import { startFrailShop } from '../program/laws/frail-shop.ts';

test('10,000 hostile requests add no series', async (t) => {
  await proveSeriesAreBounded(t, { requests: 10_000 });
});

test('a worker that starts slowly is not taken for a hanging one', async (t) => {
  const shop = await startFrailShop(t, { workers: 1, env: { WORKER_HANG_SECONDS: '2', SLOW_START_MS: '5000' } });
  assert.equal((await shop.metrics()).of('shop_worker_restarts_total'), 0);
});
