import assert from 'node:assert/strict';
import { test } from 'node:test';
import { proveSeriesAreBounded } from '../program/laws/boundedness.ts';
import { startFrailShop } from '../program/laws/frail-shop.ts';

test('10,000 hostile requests: nothing of them becomes a series', async (t) => {
  await proveSeriesAreBounded(t, { requests: 10_000 });
});

test('a worker that is slow to start is not taken for one that hangs', async (t) => {
  const shop = await startFrailShop(t, { workers: 1, env: { WORKER_HANG_SECONDS: '2', SLOW_START_MS: '5000' } });
  assert.equal((await shop.metrics()).of('shop_worker_restarts_total'), 0);
});
