import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import type { Report } from '../../k6/lib/report.ts';
import { projectRoot } from '../../src/paths.ts';
import { startCluster } from '../support/cluster.ts';

const DEADLINE_MS = 90_000;

/** Plays a script's shoppers one after the other, without k6: see test/support/k6-run.ts. */
async function play(script: string, iterations: number, env: Record<string, string>): Promise<Report> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--import', 'tsx', join(projectRoot, 'test/support/k6-run.ts'), script, String(iterations)],
    { cwd: projectRoot, env: { ...process.env, SHOP_THINK: '0', ...env }, timeout: DEADLINE_MS },
  );
  return JSON.parse(stdout);
}

test("the journeys of k6's scripts know the shop's pages, and their books balance", async (t) => {
  const shop = await startCluster(t, { workers: 2 });
  const env = { BASE_URL: shop.shopUrl, SHOP_METRICS_URL: `${shop.opsUrl}/metrics` };

  const tour = await play('smoke', 1, env);
  assert.equal(tour.failedChecks, 0);
  assert.equal(tour.passed, true, JSON.stringify(tour.books?.lines));
  const linesOf = (book: string) =>
    Object.fromEntries(
      (tour.books?.lines ?? []).filter((line) => line.book === book).map(({ entry, shop }) => [entry, shop]),
    );
  assert.deepEqual(linesOf('orders'), { paid: 2, declined: 1 });
  assert.deepEqual(linesOf('payments'), {
    'card approved': 1,
    'card declined': 1,
    'pix approved': 1,
    'pix expired': 1,
  });
  assert.deepEqual(linesOf('errors'), { validation: 2, not_found: 1, payment_declined: 1 });

  for (const [script, iterations] of [
    ['checkout', 4],
    ['load', 12],
  ] as const) {
    const report = await play(script, iterations, env);
    assert.equal(report.failedChecks, 0, script);
    assert.equal(report.passed, true, `${script}: ${JSON.stringify(report.books?.lines)}`);
  }
});

test('books do not balance where the metrics count more than the script did', async (t) => {
  const shop = await startCluster(t, { workers: 1 });
  // As if another instance had served just as many shoppers of somebody else.
  const metrics = `${shop.opsUrl}/metrics`;
  const report = await play('smoke', 1, { BASE_URL: shop.shopUrl, SHOP_METRICS_URL: `${metrics},${metrics}` });
  assert.equal(report.passed, false);
  assert.equal(report.books?.isBalanced, false);
  const [paid] = report.books?.lines.filter(({ book, entry }) => book === 'orders' && entry === 'paid') ?? [];
  assert.deepEqual(paid, { book: 'orders', entry: 'paid', least: 2, most: 2, shop: 4, isBalanced: false });
});
