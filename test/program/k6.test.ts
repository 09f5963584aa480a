import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import type { Report } from '../../k6/lib/report.ts';
import { projectRoot } from '../../src/paths.ts';
import { startCluster } from '../support/cluster.ts';

/** For a machine that is so busy that pages are answered with 503, and asked for again. */
const DEADLINE_MS = 200_000;

/** Plays a script's shoppers one after the other, without k6: see test/support/k6-run.ts. */
async function play(script: string, iterations: number, env: Record<string, string>): Promise<Report> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--import', 'tsx', join(projectRoot, 'test/support/k6-run.ts'), script, String(iterations)],
    { cwd: projectRoot, env: { ...process.env, SHOP_THINK: '0', ...env }, timeout: DEADLINE_MS },
  );
  return JSON.parse(stdout);
}

test("the journeys of k6's scripts know the shop's pages, and their books balance with its metrics alone", async (t) => {
  const shop = await startCluster(t, { workers: 2 });
  const env = { BASE_URL: shop.shopUrl, SHOP_METRICS_URL: `${shop.opsUrl}/metrics` };

  const tour = await play('smoke', 1, env);
  assert.equal(tour.failedChecks, 0);
  assert.equal(tour.passed, true, JSON.stringify(tour.books?.lines));
  const counted = new Set(tour.books?.lines.flatMap(({ book, entry, shop }) => (shop > 0 ? `${book} ${entry}` : [])));
  for (const entry of [
    'orders paid',
    'orders declined',
    'payments card approved',
    'payments card declined',
    'payments pix approved',
    'payments pix expired',
    'errors validation',
    'errors not_found',
    'errors payment_declined',
    'requests GET unmatched 404',
  ]) {
    assert.ok(counted.has(entry), `${entry} in ${[...counted]}`);
  }

  for (const [script, iterations] of [
    ['checkout', 2],
    ['load', 3],
  ] as const) {
    const report = await play(script, iterations, env);
    assert.equal(report.failedChecks, 0, script);
    assert.equal(report.passed, true, `${script}: ${JSON.stringify(report.books?.lines)}`);
  }

  // As if another instance had served just as many shoppers of somebody else.
  const twice = { ...env, SHOP_METRICS_URL: `${env.SHOP_METRICS_URL},${env.SHOP_METRICS_URL}` };
  const disturbed = await play('checkout', 1, twice);
  assert.equal(disturbed.passed, false);
  assert.equal(disturbed.books?.isBalanced, false);
  const forms = disturbed.books?.lines.find(({ entry }) => entry === 'GET /checkout 200');
  assert.equal(forms?.shop, 2 * (forms?.most ?? Number.NaN));
  assert.equal(forms?.isBalanced, false);
});
