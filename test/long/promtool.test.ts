import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { startCluster } from '../support/cluster.ts';
import { CUSTOMER } from '../support/visitor.ts';

/** The output of Prometheus' linter, which is in Debian's package `prometheus`. */
function promtool(text: string): string {
  const { error, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' });
  if (error) throw error;
  return stdout + stderr;
}

test('promtool finds no fault at the start and after a journey with errors', async (t) => {
  const shop = await startCluster(t, { workers: 2 });
  assert.equal(promtool((await shop.metrics()).text), '');

  const shopper = shop.visitor();
  for (const page of ['/', '/shop', '/detail/1', '/detail/abc', '/nowhere', '/cart']) await shopper.get(page);
  await shopper.post('/add_to_cart/1', { quantity: 2 });
  await shopper.post('/add_to_cart/1', { quantity: -5 });
  await shopper.post('/checkout', CUSTOMER);
  assert.equal(promtool((await shop.metrics()).text), '');
  assert.equal(promtool((await shop.metrics('?worker=1')).text), '');
});
